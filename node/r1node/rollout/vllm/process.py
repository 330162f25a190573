"""The server process: started with vLLM's interpreter, watched, and gone when the node is gone."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import r1net
import r1node
from r1net.errors import EngineError
from r1node.allocator import tcmalloc
from r1node.kernels.instructions import fingerprint
from r1node.rollout.vllm.environment import Environment
from r1node.rollout.vllm.install import tail

log = logging.getLogger(__name__)

INSIDE = Path(__file__).with_name("inside")
START_LIMIT = 1800.0
"""Seconds. On two busy cores the first start compiles for minutes; later ones take about one."""

TELL_EVERY = 15.0
DYING = 3.0
"""Seconds that a process may take to end after its connections broke."""

LOG_TAIL = 4

KEY = "R1_VLLM_KEY"
"""Environment variable with the server's key: other users can read a command line, but not this."""


class ServerProcess:
    """One run of a server. `command` must write its port to `ready`, and end when its standard input does, which only
    happens when the node is gone."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], ready: Path, log_file: Path) -> None:
        self._command, self._env, self._ready, self._log_file = command, env, ready, log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def key(self) -> str:
        """What a client must show."""
        return self._env[KEY]

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id. Raises EngineError when it was never started."""
        if self._process is None:
            raise EngineError("vLLM was never started")
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it serves. Raises EngineError with the log's last lines when it dies or takes too
        long."""
        self._ready.parent.mkdir(parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        with self._log_file.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603
                self._command,
                env=self._env,
                cwd=self._ready.parent,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        begun = told = time.monotonic()
        try:
            while not self._ready.exists():
                now = time.monotonic()
                if not self.alive:
                    raise EngineError(f"vLLM did not start: {self.reason()}", hint=f"see {self._log_file}")
                if now - begun > START_LIMIT:
                    raise EngineError(f"vLLM did not start in {START_LIMIT:.0f} s", hint=f"see {self._log_file}")
                if now - told > TELL_EVERY:
                    log.info("vLLM is starting, %.0f s so far; the first start compiles", now - begun)
                    told = now
                time.sleep(0.1)
        except BaseException:
            self.stop()
            raise
        self.port = int(self._ready.read_text())
        log.info("vLLM started in %.0f s", time.monotonic() - begun)

    def reason(self) -> str:
        """How it ended, or that it didn't, with the last lines of its log."""
        code = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(DYING)
        how = "it runs, but broke off" if code is None else f"exit code {code}"
        if code is not None and code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += " (out of memory?)"
        return f"{how}: {tail(self._log_file, LOG_TAIL) or 'it said nothing'}"

    def stop(self) -> None:
        """End it and all that it started, at once: it has nothing to save."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def server(
    python: Path, env: Mapping[str, str], model: Path, folder: Path, options: Mapping[str, object]
) -> ServerProcess:
    """A server with the model in `model`, not yet started; its log and state go to `folder`."""
    ready = folder / "vllm.port"
    told = json.dumps({"folder": str(model), "llm": options})
    return ServerProcess([str(python), "-m", "r1vllm", str(ready), told], env, ready, folder / "vllm.log")


def surroundings(environment: Environment, threads: int, device: str) -> dict[str, str]:
    """Environment variables of a server, with a fresh key."""
    compiled = environment.folder / "cache" / fingerprint()
    packages = {module.__name__: str(Path(module.__path__[0])) for module in (r1net, r1node)}
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {
        "PYTHONPATH": str(INSIDE),
        "PYTHONUNBUFFERED": "1",
        "R1_PACKAGES": json.dumps(packages),
        KEY: secrets.token_urlsafe(32),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine runs where the requests arrive, and is stepped by hand
        "VLLM_USE_V2_MODEL_RUNNER": "0",  # the seeded sampler knows the first model runner
        "VLLM_CACHE_ROOT": str(compiled),  # what it compiles goes with it, for each kind of processor apart,
        "TORCHINDUCTOR_CACHE_DIR": str(compiled / "inductor"),  # and not where other users of the machine may write
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if device.startswith("cuda:"):
        env["CUDA_VISIBLE_DEVICES"] = device.removeprefix("cuda:")
    if device != "cpu":
        return env
    env |= {
        "VLLM_USE_AOT_COMPILE": "0",  # on CPUs this release cannot read what that wrote, and compiles at every start
        "OMP_NUM_THREADS": str(threads),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # pinned threads wait for whatever else runs on their core
    }
    allocator = tcmalloc()
    if allocator is not None:
        env["LD_PRELOAD"] = " ".join(filter(None, [env.get("LD_PRELOAD"), allocator]))
    return env

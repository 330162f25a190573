"""Nodes as processes that come up in a moment: one process loads what every agent needs, which takes seconds of
computing, and forks itself for each node, which then is `r1node join`, or a rogue. What a node has, it has for itself:
keys, session, swarm daemon, log.

    python -m tests.adversarial.network.nursery     reads an order a line, as JSON, and answers with the child's number
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from r1node.allocator import keep_memory

PATIENCE = 20.0
"""Seconds that a node has to end by itself."""


@dataclass(frozen=True)
class Hatchling:
    """One node that runs, or has run."""

    name: str
    pid: int
    log: Path

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def stop(self) -> None:
        """SIGTERM; then SIGKILL, to it and to its children (p2pd)."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until and self.alive:
                time.sleep(0.1)
            os.killpg(self.pid, signal.SIGKILL)


class Nursery:
    """The process that forks nodes."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.adversarial.network.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(logs / "nursery.log").open("ab"),
            env={**os.environ, **keep_memory(), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
            text=True,
        )

    def hatch(self, name: str, rogue: str | None, arguments: Sequence[str], env: Mapping[str, str]) -> Hatchling:
        """Start a node with the arguments of `r1node`, a rogue of that name or an honest one. Raises RuntimeError when
        the nursery is gone."""
        log = self._logs / f"{name}.log"
        order = {"rogue": rogue, "arguments": list(arguments), "env": dict(env), "log": str(log)}
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(order) + "\n")
        self._popen.stdin.flush()
        answer = self._popen.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nursery ended:\n{(self._logs / 'nursery.log').read_text()}")
        return Hatchling(name, int(answer), log)

    def close(self) -> None:
        """End it; nodes are stopped one by one before."""
        self._popen.terminate()
        self._popen.wait()


def _child(order: Mapping[str, object]) -> None:
    """Become a node; never returns."""
    from r1node.cli.main import main
    from tests.adversarial.network.rogue import turn

    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for own, usual in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(own, usual)
    os.environ.update(order["env"])  # type: ignore[arg-type]
    sys.argv = ["r1node", *order["arguments"]]  # type: ignore[misc]
    if order["rogue"] is not None:
        turn(str(order["rogue"]))
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def serve() -> None:
    """Load everything once, then fork for each order."""
    for module in ("r1node.worker", "tests.adversarial.network.rogue"):
        importlib.import_module(module)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a node ended
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line))
        print(pid, flush=True)


if __name__ == "__main__":
    serve()

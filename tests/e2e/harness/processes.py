"""Child processes with a log file each, their peak memory, and a clean end."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_EVERY = 1.0
MIB = 2**20


@dataclass
class Process:
    """One child. `start` may be called again after it ended."""

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    peak_rss_mb: float = 0.0
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run the command; output is appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                list(self.command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.env},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen is not None and self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL, to it and to its children (p2pd), without a warning."""
        if self.popen is not None and self.alive:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def stop(self, patience: float = 20.0) -> None:
        """SIGTERM, then SIGKILL."""
        if self.popen is None or not self.alive:
            return
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def sample(self) -> None:
        """Note the resident memory of the process and its children."""
        if self.popen is None:
            return
        try:
            root = psutil.Process(self.popen.pid)
            total = sum(p.memory_info().rss for p in (root, *root.children(recursive=True)))
        except psutil.NoSuchProcess:
            return
        self.peak_rss_mb = max(self.peak_rss_mb, total / MIB)

    def tail(self, lines: int = 20) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Supervisor:
    """Starts processes, samples their memory, and ends them all."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def add(self, process: Process) -> Process:
        """Start a process and look after it."""
        process.start()
        self.processes[process.name] = process
        return process

    def stop(self) -> None:
        """End everything, the youngest first."""
        self._done.set()
        for process in reversed(self.processes.values()):
            process.stop()

    def peaks(self) -> dict[str, float]:
        """Peak resident memory of each process, MiB."""
        return {name: round(process.peak_rss_mb, 1) for name, process in self.processes.items()}

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_EVERY):
            for process in list(self.processes.values()):
                process.sample()


def at_a_terminal(typed: str, command: Sequence[str]) -> str:
    """What a command says (on standard error) to a person who types one line."""
    leader, follower = pty.openpty()
    os.write(leader, f"{typed}\n".encode())
    done = subprocess.run(command, stdin=follower, capture_output=True, text=True, check=False, timeout=120)
    os.close(leader)
    os.close(follower)
    return done.stderr


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, seconds: float, process: Process | None = None) -> None:
    """Poll until true. Raises RuntimeError, with the process's last words, when it takes too long or ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None and not process.alive:
            raise RuntimeError(f"{process.name} ended while waiting for {what}:\n{process.tail()}")
        if time.monotonic() > deadline:
            said = f":\n{process.tail()}" if process is not None else ""
            raise RuntimeError(f"{what} took more than {seconds:.0f} s{said}")
        time.sleep(0.1)

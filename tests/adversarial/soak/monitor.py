"""What the coordinator looks like from outside while it is under fire."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tests.e2e.harness.processes import Process

_EVERY = 0.5
_MB = 2**20


@dataclass
class Monitor:
    """Asks `/healthz` twice a second, and weighs the process and its sandbox, until its standard input ends."""

    url: str
    pid: int
    health: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    sandbox: list[float] = field(default_factory=list)
    unhealthy: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Watch."""
        process, over = psutil.Process(self.pid), threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
        with httpx.Client(base_url=self.url, timeout=10) as http:
            while not over.wait(_EVERY):
                self._ask(http)
                self._weigh(process)

    def _ask(self, http: httpx.Client) -> None:
        began = time.perf_counter()
        try:
            answer = http.get("/healthz")
            if answer.status_code != 200:
                self.unhealthy[str(answer.status_code)] += 1
        except httpx.TransportError as error:
            self.unhealthy[type(error).__name__] += 1
        self.health.append(time.perf_counter() - began)

    def _weigh(self, process: psutil.Process) -> None:
        try:
            self.memory.append(process.memory_info().rss / _MB)
            children = process.children(recursive=True)
        except psutil.NoSuchProcess:
            self.unhealthy["no such process"] += 1
            return
        self.sandbox.append(sum(_own(child) for child in children) / _MB)

    def figures(self) -> dict[str, Any]:
        """Percentiles in seconds, memory in MB: the medians of the first and the last fifth."""
        ordered = sorted(self.health)
        fifth = max(len(self.memory) // 5, 1)
        return {
            "healthz_asked": len(ordered),
            "healthz_p50": round(statistics.median(ordered), 4),
            "healthz_p99": round(ordered[int(0.99 * (len(ordered) - 1))], 4),
            "healthz_max": round(ordered[-1], 4),
            "unhealthy": dict(self.unhealthy),
            "memory_mb_first_fifth": round(statistics.median(self.memory[:fifth])),
            "memory_mb_last_fifth": round(statistics.median(self.memory[-fifth:])),
            "memory_mb_most": round(max(self.memory)),
            "sandbox_mb_most": round(max(self.sandbox)),
        }


def _own(process: psutil.Process) -> int:
    """What a process has for itself: the sandbox's processes share most of their memory."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


@contextmanager
def watching(url: str, process: Process) -> Iterator[dict[str, Any]]:
    """Fills the figures at the end. The monitor is a process of its own: the senders must not slow its clock."""
    found: dict[str, Any] = {}
    assert process.popen is not None
    command = [sys.executable, "-m", "tests.adversarial.soak.monitor", url, str(process.popen.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        yield found
        output, _ = watcher.communicate()
        found.update(json.loads(output))


if __name__ == "__main__":
    monitor = Monitor(sys.argv[1], int(sys.argv[2]))
    monitor.run()
    print(json.dumps(monitor.figures()))

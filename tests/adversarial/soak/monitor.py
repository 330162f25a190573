"""What the coordinator looks like from outside while it is under fire."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tests.e2e.harness.processes import Process

_EVERY = 0.5
_MB = 2**20


@dataclass
class Monitor:
    """Asks `/healthz` twice a second, and weighs the process and its sandbox."""

    url: str
    coordinator: Process
    health: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    sandbox: list[float] = field(default_factory=list)
    unhealthy: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Watch from a thread of its own."""
        assert self.coordinator.popen is not None
        self._process = psutil.Process(self.coordinator.popen.pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with httpx.Client(base_url=self.url, timeout=10) as http:
            while not self._over.wait(_EVERY):
                began = time.perf_counter()
                try:
                    answer = http.get("/healthz")
                    if answer.status_code != 200:
                        self.unhealthy[str(answer.status_code)] += 1
                except httpx.TransportError as error:
                    self.unhealthy[type(error).__name__] += 1
                self.health.append(time.perf_counter() - began)
                self._weigh()

    def _weigh(self) -> None:
        self.memory.append(self._process.memory_info().rss / _MB)
        children = [child for child in self._process.children(recursive=True) if child.is_running()]
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

"""A bound on bytes a second, shared by threads."""

from __future__ import annotations

import threading
import time


class Throttle:
    """A token bucket of one second: what is taken beyond it is waited for. `rate` is in bytes a second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 1.0) + size / self.rate
            wait = self._free_at - now
        if wait > 0:
            time.sleep(wait)

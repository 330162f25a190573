"""Counting refusals in memory: what strangers send must not make the database write."""

from __future__ import annotations

import threading

from r1coordinator.store.database import Database
from r1coordinator.store.rows import count_refusal

_MOST = 1000
"""Kinds (code and worker) that are counted between two writes."""


class Refusals:
    """Refusals that aren't in the database yet. Safe for threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[int, str]] = {}

    def note(self, code: str, detail: str, worker: str = "") -> None:
        """One more refusal of this kind."""
        with self._lock:
            if (code, worker) in self._counts or len(self._counts) < _MOST:
                count, _ = self._counts.get((code, worker), (0, ""))
                self._counts[code, worker] = (count + 1, detail[:500])

    def flush(self) -> None:
        """Bring the counts into the database."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        with self._db.write() as s:
            for (code, worker), (count, detail) in counts.items():
                count_refusal(s, code, detail, worker, count=count)
                s.flush()

"""The jobs that this worker stays away from, because their tasks failed here, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 6 * 3600.0
_MOST = 64


class Quarantine:
    """A job that fails again is avoided for twice as long."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def add(self, job_id: str) -> float:
        """Avoid a job from now on; returns for how many seconds."""
        seconds = min(2 * self._seconds.get(job_id, FIRST_SECONDS / 2), LONGEST_SECONDS)
        self._seconds[job_id], self._until[job_id] = seconds, self._clock() + seconds
        return seconds

    def forgive(self, job_id: str) -> None:
        """A task of the job was done: its past no longer counts."""
        self._seconds.pop(job_id, None)
        self._until.pop(job_id, None)

    def jobs(self) -> tuple[str, ...]:
        """The jobs to avoid now: those for the longest, when they are too many to name."""
        now = self._clock()
        avoided = sorted((job for job, until in self._until.items() if until > now), key=self._until.__getitem__)
        return tuple(avoided[-_MOST:])

"""How long a worker's tasks take, as far as those that it has done tell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """The task in hand, if there is one, and how long the last of each kind took."""

    def __init__(self) -> None:
        self._began: tuple[str, float] | None = None
        self._took: dict[str, float] = {}

    @contextmanager
    def task(self, kind: str) -> Iterator[None]:
        """While a task of a kind is done."""
        self._began = kind, time.monotonic()
        try:
            yield
        finally:
            self._took[kind] = time.monotonic() - self._began[1]
            self._began = None

    @property
    def busy(self) -> bool:
        """Whether there is a task in hand."""
        return self._began is not None

    @property
    def left(self) -> float | None:
        """Seconds that the task in hand will still take; None where that isn't known."""
        if self._began is None or self._began[0] not in self._took:
            return None
        kind, began = self._began
        return max(1.0, self._took[kind] - (time.monotonic() - began))

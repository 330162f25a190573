"""Slow questions (to the chain) off the request path: few threads ask them, and their answers are kept for a while."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from r1net.errors import ChainUnavailable, Refused

V = TypeVar("V")

_MOST_KEPT = 10_000
_AWAY_SECONDS = 2.0
"""While the chain is away, every question gets the same answer at once; this often it is tried again."""


class Askers:
    """A small pool of threads, and a bound on what waits for them. The threads are daemons: a chain that hangs holds up
    no stop."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = threads
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"asker-{number}", daemon=True).start()

    def submit(self, work: Callable[[], V]) -> Future[V]:
        """Have it done. Refused with 503 when too much waits already."""
        if not self._room.acquire(blocking=False):
            raise _busy("the chain is being asked too much at once")
        future: Future[V] = Future()
        self._queue.put(lambda: _do(work, future))
        return future

    def close(self) -> None:
        """End the threads after what they are at."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            task()
            self._room.release()


def _do(work: Callable[[], V], future: Future[V]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # handed to whoever asked
        future.set_exception(error)


@dataclass(frozen=True)
class _Kept(Generic[V]):
    answer: Future[V]
    until: float


class Lookup(Generic[V]):
    """Answers by key. `keep` says for how many seconds an answer holds, `keep_refusals` for how many a refusal does.

    A key is asked for once at a time, however many wait for it.
    """

    def __init__(
        self, askers: Askers, keep: Callable[[V], float], keep_refusals: float = 0.0, patience: float = 15.0
    ) -> None:
        self._askers, self._keep, self._keep_refusals, self._patience = askers, keep, keep_refusals, patience
        self._lock = threading.Lock()
        self._asked: dict[Hashable, Future[V]] = {}
        self._kept: OrderedDict[Hashable, _Kept[V]] = OrderedDict()
        self._away: ChainUnavailable | None = None
        self._away_until = 0.0

    async def get(self, key: Hashable, ask: Callable[[], V]) -> V:
        """The answer. Raises what `ask` raises, and Refused (503) when asking takes too long or too many ask."""
        future = self._future(key, ask)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._patience)
        except TimeoutError:
            raise _busy("the chain is slow to answer") from None

    def known(self, key: Hashable) -> V | None:
        """The answer, if it is kept; nobody is asked."""
        with self._lock:
            kept = self._fresh(key)
        return kept.result() if kept is not None and kept.exception() is None else None

    def forget(self, key: Hashable) -> None:
        """Ask anew next time."""
        with self._lock:
            self._kept.pop(key, None)

    def _future(self, key: Hashable, ask: Callable[[], V]) -> Future[V]:
        with self._lock:
            future = self._fresh(key) or self._asked.get(key)
            if future is not None:
                return future
            if self._away is not None and time.monotonic() < self._away_until:
                raise ChainUnavailable(self._away.message, hint=self._away.hint)
            future = self._askers.submit(ask)
            self._asked[key] = future
        future.add_done_callback(lambda done: self._answered(key, done))
        return future

    def _fresh(self, key: Hashable) -> Future[V] | None:
        kept = self._kept.get(key)
        if kept is None or kept.until <= time.monotonic():
            return None
        return kept.answer

    def _answered(self, key: Hashable, future: Future[V]) -> None:
        error = future.exception()
        if error is None:
            seconds = self._keep(future.result())
        elif isinstance(error, Refused):
            seconds = self._keep_refusals
        else:
            seconds = 0.0
        with self._lock:
            del self._asked[key]
            if isinstance(error, ChainUnavailable) and self._keep_refusals:
                self._away, self._away_until = error, time.monotonic() + _AWAY_SECONDS
            if seconds > 0:
                self._kept[key] = _Kept(future, time.monotonic() + seconds)
                self._kept.move_to_end(key)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


def _busy(detail: str) -> Refused:
    return Refused("busy", detail, status=503, hint="try again in a while", retry_after=3.0)

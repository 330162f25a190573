"""A bell that wakes whoever waits for news. Waiting holds neither a thread nor a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

T = TypeVar("T")


class Bell:
    """Rung from any thread, heard in the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.Event | None = None

    def attach(self) -> None:
        """Belong to the running event loop."""
        self._loop, self._next = asyncio.get_running_loop(), asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._strike)

    def _strike(self) -> None:
        rung, self._next = self._next, asyncio.Event()
        if rung is not None:
            rung.set()

    def listen(self) -> asyncio.Event:
        """The next stroke. Take it before looking at the state, so that no news is missed."""
        if self._next is None:
            raise RuntimeError("the bell belongs to no event loop yet")
        return self._next


async def poll(
    bell: Bell,
    look: Callable[[], T],
    found: Callable[[T], bool],
    wait: float,
    beat: float,
    gone: Callable[[], Awaitable[bool]],
) -> T:
    """Look until something is found, `wait` seconds are over, or the asker is gone; at least every `beat` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        stroke = bell.listen()
        answer = await run_in_threadpool(look)
        left = deadline - loop.time()
        if found(answer) or left <= 0:
            return answer
        with suppress(TimeoutError):
            await asyncio.wait_for(stroke.wait(), min(left, beat))
        if await gone():
            return answer

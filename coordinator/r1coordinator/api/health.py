"""Whether the service can answer from its database, asked without waiting behind anybody."""

from __future__ import annotations

import asyncio

from anyio import CapacityLimiter, to_thread

from r1coordinator.store.database import Database
from r1net.errors import Refused

_FRESH = 0.2
"""Seconds for which one look answers everybody."""
_PATIENCE = 5.0


class Pulse:
    """One look at a time, on a thread and a connection of its own. Belongs to the event loop."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._thread = CapacityLimiter(1)
        self._looking: asyncio.Task[None] | None = None
        self._seen = float("-inf")

    async def beat(self) -> None:
        """Raises Refused (503) when the database doesn't answer."""
        if asyncio.get_running_loop().time() - self._seen < _FRESH:
            return
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            await asyncio.wait_for(asyncio.shield(self._looking), _PATIENCE)
        except TimeoutError:
            raise Refused("unhealthy", "the database does not answer", status=503, retry_after=_PATIENCE) from None

    async def _look(self) -> None:
        try:
            await to_thread.run_sync(self._db.ping, limiter=self._thread)
            self._seen = asyncio.get_running_loop().time()
        finally:
            self._looking = None

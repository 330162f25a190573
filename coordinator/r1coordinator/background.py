"""What the coordinator does by itself, each on its own turn: none of it waits for another, and no fault ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from r1coordinator.memory import give_back
from r1coordinator.scheduling.intake import start_waiting
from r1coordinator.scheduling.stakes import watch_stakes
from r1coordinator.scheduling.tick import tick
from r1coordinator.scheduling.watch import watch_funding
from r1coordinator.services import Services
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.retention import keep_house
from r1coordinator.verification.draw import draw_checks

log = logging.getLogger("r1coordinator")

_HOUSE_SECONDS = 60.0
"""Pause between two looks for files that have been kept for long enough."""


@dataclass(frozen=True)
class Task:
    """Something done again and again. `work` returns the seconds until its next turn."""

    name: str
    work: Callable[[], Awaitable[float]]
    after_error: float


@asynccontextmanager
async def running(services: Services) -> AsyncIterator[None]:
    """All of it, until the block ends."""
    turns = [asyncio.create_task(_repeat(task)) for task in tasks_of(services)]
    yield
    for turn in turns:
        turn.cancel()
    await asyncio.gather(*turns, return_exceptions=True)


async def _repeat(task: Task) -> None:
    while True:
        try:
            pause = await task.work()
        except Exception:  # a background task must outlive any fault; the next turn tries again
            log.exception("%s failed; trying again in %g s", task.name, task.after_error)
            pause = task.after_error
        await asyncio.sleep(pause)


def tasks_of(services: Services) -> list[Task]:
    """What there is to do."""
    settings, clock = services.settings, services.clock
    settler = Settler(services.db, services.chain, settings, clock)

    async def ticking() -> float:
        if await run_in_threadpool(tick, services.db, services.ctx, clock()):
            services.bell.ring()
        await run_in_threadpool(services.refusals.flush)
        return settings.tick_seconds

    async def keeping_house() -> float:
        deleted = await run_in_threadpool(keep_house, services.db, services.blobs, settings.retention_days, clock())
        await run_in_threadpool(give_back)
        return settings.tick_seconds if deleted else _HOUSE_SECONDS

    async def starting() -> float:
        """Apart from the tick: a job's check takes as long as its settings make it."""
        if await run_in_threadpool(start_waiting, services.db, services.ctx, services.scorers, clock()):
            services.bell.ring()
        return settings.tick_seconds

    async def drawing() -> float:
        """What is replayed, by the chain's blocks."""
        args = (services.db, services.ctx, services.chain, services.blobs, clock)
        if await run_in_threadpool(draw_checks, *args):
            services.bell.ring()
        return settings.tick_seconds

    async def settling() -> float:
        return await run_in_threadpool(settler.step)

    async def watching() -> float:
        """The escrows, which the tick must not wait for."""
        depth = settings.depth(services.chain.chain_id())
        if await run_in_threadpool(watch_funding, services.db, services.ctx, services.chain, depth, clock):
            services.bell.ring()
        return settings.funding_poll_seconds

    async def following() -> float:
        """The stakes of the workers' owners, and what a conviction takes of them."""
        services.ctx.risk.wei = await run_in_threadpool(services.chain.at_risk)
        if await run_in_threadpool(watch_stakes, services.db, services.ctx, services.registrations, clock):
            services.bell.ring()
        return settings.registry_poll_seconds

    return [
        Task("tick", ticking, settings.tick_seconds),
        Task("starting jobs", starting, settings.tick_seconds),
        Task("deleting old files", keeping_house, _HOUSE_SECONDS),
        Task("drawing what is replayed", drawing, settings.funding_poll_seconds),
        Task("settlement", settling, settings.settlement_poll_seconds),
        Task("watching the escrows", watching, settings.funding_poll_seconds),
        Task("following the stakes", following, settings.registry_poll_seconds),
    ]

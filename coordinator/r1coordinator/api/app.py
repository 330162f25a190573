"""The web application: routes, errors, limits, and the tasks in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from r1coordinator.api import blobs, jobs, money, network, nodes, openapi, problems, traces
from r1coordinator.api.gate import Gate
from r1coordinator.dashboard import page
from r1coordinator.scheduling.intake import start_waiting
from r1coordinator.scheduling.stakes import watch_stakes
from r1coordinator.scheduling.tick import tick
from r1coordinator.scheduling.watch import watch_funding
from r1coordinator.services import Services
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.retention import keep_house

log = logging.getLogger("r1coordinator")

_HOUSE_SECONDS = 60.0
"""Pause between two looks for files that have been kept for long enough."""


async def _repeat(work: Callable[[], Awaitable[float]], name: str, after_error: float) -> None:
    """Run `work` for ever, pausing for the seconds that it asks for."""
    while True:
        try:
            pause = await work()
        except Exception:  # a background task must outlive any fault; the next turn tries again
            log.exception("%s failed; trying again in %g s", name, after_error)
            pause = after_error
        await asyncio.sleep(pause)


def create_app(services: Services, *, background: bool = True) -> FastAPI:
    """The application. Without `background` nothing happens between requests (for tests)."""

    settler = Settler(services.db, services.chain, services.settings, services.clock)

    async def ticking() -> float:
        if await run_in_threadpool(tick, services.db, services.ctx, services.clock()):
            services.bell.ring()
        await run_in_threadpool(services.refusals.flush)
        return services.settings.tick_seconds

    async def keeping_house() -> float:
        days, now = services.settings.retention_days, services.clock()
        deleted = await run_in_threadpool(keep_house, services.db, services.blobs, days, now)
        return services.settings.tick_seconds if deleted else _HOUSE_SECONDS

    async def starting() -> float:
        """Apart from the tick: a job's check takes as long as its settings make it."""
        now = services.clock()
        if await run_in_threadpool(start_waiting, services.db, services.ctx, services.scorers, now):
            services.bell.ring()
        return services.settings.tick_seconds

    async def settling() -> float:
        return await run_in_threadpool(settler.step)

    async def watching() -> float:
        """The escrows, which the tick must not wait for."""
        settings, depth = services.settings, services.settings.depth(services.chain.chain_id())
        if await run_in_threadpool(watch_funding, services.db, services.ctx, services.chain, depth, services.clock):
            services.bell.ring()
        return settings.funding_poll_seconds

    async def following() -> float:
        """The stakes of the workers' owners."""
        asked = (services.db, services.ctx, services.registrations, services.clock)
        if await run_in_threadpool(watch_stakes, *asked):
            services.bell.ring()
        return services.settings.registry_poll_seconds

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.bell.attach()
        to_thread.current_default_thread_limiter().total_tokens = 2 * services.settings.requests_per_caller
        tasks: list[asyncio.Task[None]] = []
        if background:
            tick_pause, poll_pause = services.settings.tick_seconds, services.settings.settlement_poll_seconds
            tasks.append(asyncio.create_task(_repeat(ticking, "tick", tick_pause)))
            tasks.append(asyncio.create_task(_repeat(starting, "starting jobs", tick_pause)))
            tasks.append(asyncio.create_task(_repeat(keeping_house, "deleting old files", _HOUSE_SECONDS)))
            tasks.append(asyncio.create_task(_repeat(settling, "settlement", poll_pause)))
            funding_pause = services.settings.funding_poll_seconds
            tasks.append(asyncio.create_task(_repeat(watching, "watching the escrows", funding_pause)))
            registry_pause = services.settings.registry_poll_seconds
            tasks.append(asyncio.create_task(_repeat(following, "following the stakes", registry_pause)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        services.close()

    app = FastAPI(title="r1net coordinator", lifespan=lifespan)
    app.state.services = services
    problems.install(app)
    app.add_middleware(Gate, limits=services.limits)
    for module in (network, nodes, jobs, traces, blobs, money, page):
        app.include_router(module.router)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app

"""The web application: routes, errors, limits, and the tasks in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI

from r1coordinator.api import blobs, checks, dials, gradients, jobs, money, network, nodes, openapi, problems, traces
from r1coordinator.api.gate import Gate
from r1coordinator.background import running
from r1coordinator.dashboard import page
from r1coordinator.services import Services


def create_app(services: Services, *, background: bool = True) -> FastAPI:
    """The application. Without `background` nothing happens between requests (for tests)."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        services.bell.attach()
        to_thread.current_default_thread_limiter().total_tokens = 2 * services.settings.requests_per_caller
        async with AsyncExitStack() as stack:
            if background:
                await stack.enter_async_context(running(services))
            yield
        services.close()

    app = FastAPI(title="r1net coordinator", lifespan=lifespan)
    app.state.services = services
    problems.install(app)
    app.add_middleware(Gate, limits=services.limits)
    for module in (network, nodes, dials, checks, gradients, jobs, traces, blobs, money, page):
        app.include_router(module.router)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app

"""Errors on the wire: RFC 9457 problem documents with a machine word and a next step."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1coordinator.services import Services
from r1coordinator.store.blobs import BlobRefused
from r1coordinator.store.rows import count_refusal
from r1coordinator.verification.codes import CONTENT
from r1net.errors import ChainUnavailable, R1Error, Refused
from r1net.protocol.views import Problem

log = logging.getLogger("r1coordinator")


def problem(status: int, code: str, detail: str, hint: str | None = None) -> Response:
    """The response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, hint=hint)
    return Response(body.model_dump_json(), status, media_type="application/problem+json")


async def _count(request: Request, code: str, detail: str) -> None:
    services: Services = request.app.state.services
    worker = getattr(request.state, "worker", "")

    def write() -> None:
        with services.db.write() as s:
            count_refusal(s, code, detail, worker)

    await run_in_threadpool(write)


async def _refused(request: Request, error: Refused) -> Response:
    if error.code not in CONTENT and error.status != 404:  # content faults are counted where they are found
        await _count(request, error.code, error.message)
    return problem(error.status, error.code, error.message, error.hint)


async def _own(request: Request, error: R1Error) -> Response:
    if isinstance(error, Refused):
        return await _refused(request, error)
    if isinstance(error, ChainUnavailable):
        return problem(503, error.code, error.message, "try again in a while")
    if isinstance(error, BlobRefused):
        await _count(request, error.code, error.message)
        return problem(413 if error.code == "blob_too_large" else 422, error.code, error.message)
    await _count(request, error.code, error.message)
    return problem(400, error.code, error.message, error.hint)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    detail = f"{where}: {first['msg']}"
    await _count(request, "invalid_request", detail)
    return problem(422, "invalid_request", detail)


async def _http(_request: Request, error: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    return problem(error.status_code, code, str(error.detail), "see /docs for the routes")


async def _unexpected(_request: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return problem(500, "internal", "the coordinator met an error of its own", "try again; the log has the cause")


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(R1Error, _own)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected)


_SMALL = 1 << 20
"""What every body but a rollout must fit into."""


class BodyLimit:
    """ASGI middleware: too large a body is refused while it comes in. `limit` is a rollout's, in bytes; other
    messages are small, and blobs have limits of their own."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or (scope["method"] == "PUT" and scope["path"].startswith("/v1/blobs/")):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        limit = self._limit if scope["path"].endswith("/rollout") else min(self._limit, _SMALL)
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            received = await receive()
            seen += len(received.get("body", b""))
            if seen > limit or (declared.isdigit() and int(declared) > limit):
                raise Refused("body_too_large", f"more than {limit} bytes", status=413)
            return received

        await self._app(scope, limited, send)

"""Errors on the wire: RFC 9457 problem documents with a machine word and a next step."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from r1coordinator.api.openapi import methods_at
from r1coordinator.services import Services
from r1coordinator.store.blobs import BlobRefused
from r1coordinator.verification.codes import REFUSED
from r1net.errors import ChainUnavailable, R1Error, Refused
from r1net.protocol.views import Problem
from r1net.sandbox import SandboxFailed

log = logging.getLogger("r1coordinator")

_PAUSE = 5.0
"""Seconds after which a request that needs the chain is worth another try."""


def problem(status: int, code: str, detail: str, hint: str | None = None) -> Response:
    """The response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, hint=hint)
    return Response(body.model_dump_json(), status, media_type="application/problem+json")


def problem_of(refusal: Refused) -> Response:
    """The response to a refused request."""
    response = problem(refusal.status, refusal.code, refusal.message, refusal.hint)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(refusal.retry_after))
    return response


def _count(request: Request, code: str, detail: str) -> None:
    services: Services = request.app.state.services
    services.refusals.note(code, detail, getattr(request.state, "worker", ""))


async def _refused(request: Request, error: Refused) -> Response:
    if error.code not in REFUSED and error.status != 404:  # content faults are counted where they are found
        _count(request, error.code, error.message)
    return problem_of(error)


async def _own(request: Request, error: R1Error) -> Response:
    if isinstance(error, Refused):
        return await _refused(request, error)
    if isinstance(error, ChainUnavailable | SandboxFailed):
        return problem_of(
            Refused(error.code, error.message, status=503, hint="try again in a while", retry_after=_PAUSE)
        )
    if isinstance(error, BlobRefused):
        _count(request, error.code, error.message)
        return problem(413 if error.code == "blob_too_large" else 422, error.code, error.message)
    _count(request, error.code, error.message)
    return problem(400, error.code, error.message, error.hint)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    detail = f"{where}: {first['msg']}"
    _count(request, "invalid_request", detail)
    return problem(422, "invalid_request", detail)


async def _http(request: Request, error: HTTPException) -> Response:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    response = problem(error.status_code, code, str(error.detail), "see /docs for the routes")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(methods_at(request.app, request.url.path))
    return response


async def _unexpected(_request: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return problem(500, "internal", "the coordinator met an error of its own", "try again; the log has the cause")


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(R1Error, _own)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected)

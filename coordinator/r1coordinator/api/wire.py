"""What every route shares: services, message bodies, the caller's identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Path, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.bodies import SMALL, known_length, read_signed, read_unsigned
from r1coordinator.api.limits import caller_address
from r1coordinator.scheduling.leases import owned
from r1coordinator.services import Services
from r1coordinator.store.workers import require_welcome, session_of, touch, use_nonce
from r1net.errors import ProtocolError, Refused
from r1net.protocol.canonical import Message
from r1net.protocol.session import (
    DIGEST_HEADER,
    MAX_SKEW,
    NONCE_HEADER,
    SESSION_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    check_request,
    parse_content_digest,
)

M = TypeVar("M", bound=Message)


async def services_of(request: Request) -> Services:
    """The services that the app was made with. (A plain function would wait for a thread of the pool.)"""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Use = Annotated[Services, Depends(services_of)]

Number = Annotated[int, Path(ge=0, lt=2**31)]
"""A round, attempt or epoch in a path."""


def read_message(model: type[M], body: bytes) -> M:
    """A message from a request's body. Refused as `broken_json` (400) or `invalid_message` (422)."""
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Refused("broken_json", f"the body is not JSON: {first['msg']}", status=400) from error
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise Refused(
            "invalid_message",
            f"{model.__name__}: {where}: {first['msg']}",
            status=422,
            hint="see r1net.protocol for what is expected",
        ) from error


def message(model: type[M], limit: int) -> Callable[[Request], Awaitable[M]]:
    """A dependency that reads an unsigned body of at most `limit` bytes as `model`, off the event loop."""

    async def dependency(request: Request) -> M:
        limits = (await services_of(request)).limits
        limits.unsigned.take(caller_address(request.scope))
        most = min(limit, limits.settings.max_body_bytes)
        return await run_in_threadpool(read_message, model, await read_unsigned(request, most, limits))

    return dependency


@dataclass(frozen=True)
class Signed:
    """The parts of a signed request. `digest` is the SHA-256 that its body is to have."""

    session_id: str
    timestamp: str
    nonce: str
    signature: str
    digest: str
    method: str
    target: str


@dataclass(frozen=True)
class Caller:
    """An authenticated worker and what it sent."""

    worker: str
    body: bytes


_HEADERS = (SESSION_HEADER, TIME_HEADER, NONCE_HEADER, SIGNATURE_HEADER, DIGEST_HEADER)


def signed_parts(request: Request) -> Signed:
    """What is signed of a request, from its first line and headers alone. Refused (401) when a header is missing."""
    values = [request.headers.get(name, "") for name in _HEADERS]
    missing = [name for name, value in zip(_HEADERS, values, strict=True) if not value]
    if missing:
        raise Refused("not_signed", f"header {missing[0]} is missing", status=401, hint="sign with the session key")
    try:
        digest = parse_content_digest(values[4])
    except ProtocolError as error:
        raise Refused("not_signed", error.message, status=401, hint=error.hint) from error
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope["raw_path"].decode("latin-1")
    target = f"{path}?{query}" if query else path
    return Signed(values[0], values[1], values[2], values[3], digest, request.method, target)


def authenticate(services: Services, signed: Signed, now: float) -> str:
    """The worker that signed the request. Each request counts once, and only near its time."""
    try:
        skew = abs(float(signed.timestamp) - now)
    except ValueError:
        skew = float("inf")
    if not skew <= MAX_SKEW:
        raise Refused(
            "clock_skew", f"the request's time is more than {MAX_SKEW:g} s off", status=401, hint="set the clock (NTP)"
        )
    if len(signed.nonce) > 64:
        raise Refused("not_signed", "the nonce is longer than 64 characters", status=401)
    with services.db.read() as s:
        session = session_of(s, signed.session_id, now)
    try:
        check_request(
            session.session_key,
            signed.signature,
            signed.method,
            signed.target,
            signed.digest,
            signed.timestamp,
            signed.nonce,
        )
    except ProtocolError as error:
        raise Refused("bad_request_signature", error.message, status=401, hint="sign with the session key") from error
    with services.db.write() as s:
        require_welcome(s, session.worker)
        use_nonce(s, signed.session_id, signed.nonce, now + 2 * MAX_SKEW)
        touch(s, session.worker, now)
    return session.worker


async def worker_of(request: Request, signed: Signed, services: Services) -> str:
    """The worker that sent a request, known before a byte of its body is read, and counted."""
    worker = await run_in_threadpool(authenticate, services, signed, services.clock())
    request.state.worker = worker
    request.state.held.enter_context(services.limits.workers.hold(worker))
    return worker


async def caller_of(request: Request, services: Use) -> Caller:
    """Authenticate a node's request, then read its body."""
    signed = signed_parts(request)
    largest = services.settings.max_body_bytes
    length = known_length(request, largest if request.url.path.endswith("/rollout") else min(largest, SMALL))
    worker = await worker_of(request, signed, services)
    await run_in_threadpool(_require_lease, services, request, worker)
    return Caller(worker, await read_signed(request, worker, signed.digest, length, services.limits))


def _require_lease(services: Services, request: Request, worker: str) -> None:
    """A body that belongs to a lease is read only from the worker that has the lease."""
    lease_id = request.path_params.get("lease_id")
    if lease_id is not None:
        with services.db.read() as s:
            owned(s, lease_id, worker)


Node = Annotated[Caller, Depends(caller_of)]


def require_same_lease(lease_id: str, body_lease: str) -> None:
    """Refuse a body that is about another lease than its path."""
    if lease_id != body_lease:
        raise Refused("invalid_message", "path and body name different leases", status=422)

"""Bodies of requests: read only once it is known from whom, at a fair pace, and within limits."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from r1coordinator.api.limits import Limits
from r1coordinator.settings import Settings
from r1net.errors import Refused

SMALL = 1 << 20
"""What every body but a rollout must fit into, and what is received in memory."""
_WRITE = 1 << 18


def declared_length(request: Request) -> int | None:
    """What Content-Length says; None for a body of unknown length. Refuses nonsense."""
    field = request.headers.get("content-length")
    if field is None:
        return None if "transfer-encoding" in request.headers else 0
    if not (field.isascii() and field.isdigit()):
        raise Refused("bad_length", "Content-Length is no number", status=400)
    return int(field)


def known_length(request: Request, limit: int) -> int:
    """The declared length. Refused with 411 when there is none, with 413 beyond `limit` bytes."""
    length = declared_length(request)
    if length is None:
        raise Refused("length_required", "the body's length must be declared", status=411, hint="send Content-Length")
    if length > limit:
        raise too_large(limit)
    return length


def too_large(limit: int) -> Refused:
    """The refusal of a body beyond its limit."""
    return Refused("body_too_large", f"more than {limit} bytes", status=413)


async def chunks(request: Request, limit: int, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it comes. Refuses more than `limit` bytes (413), and a sender that stalls or trickles (408)."""
    loop = asyncio.get_running_loop()
    started, seen, stream = loop.time(), 0, request.stream()
    while True:
        try:
            async with asyncio.timeout(settings.body_stall_seconds):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _stalled(f"no byte came for {settings.body_stall_seconds:g} s") from None
        except ClientDisconnect:
            raise Refused("disconnected", "the sender hung up", status=400) from None
        if chunk is None:
            return
        seen += len(chunk)
        if seen > limit:
            raise too_large(limit)
        if seen < (loop.time() - started - settings.body_stall_seconds) * settings.body_min_rate:
            raise _stalled(f"slower than {settings.body_min_rate} bytes a second")
        yield chunk


def _stalled(why: str) -> Refused:
    return Refused("body_stalled", f"the body was given up: {why}", status=408, hint="send it again, without pauses")


async def read_unsigned(request: Request, limit: int, limits: Limits) -> bytes:
    """A small body of nobody knows whom."""
    length = declared_length(request)
    if length is not None and length > limit:
        raise too_large(limit)
    room = limit if length is None else length
    await limits.unsigned_room.take(room)
    _held(request).callback(limits.unsigned_room.give, room)
    return b"".join([chunk async for chunk in chunks(request, limit, limits.settings)])


async def read_signed(request: Request, caller: str, digest: str, length: int, limits: Limits) -> bytes:
    """The body that a caller signed for. A large one waits on disk until it is whole: senders, however slow, hold no
    memory of it. Refused when its SHA-256 isn't `digest`."""
    if length <= SMALL:
        await limits.signed_room.take(length)
        _held(request).callback(limits.signed_room.give, length)
        data = b"".join([chunk async for chunk in chunks(request, length, limits.settings)])
        _require(hashlib.sha256(data).hexdigest(), digest)
        return data
    with limits.bodies.hold(caller), tempfile.TemporaryFile(dir=limits.settings.blobs) as file:
        state, waiting = hashlib.sha256(), bytearray()
        async for chunk in chunks(request, length, limits.settings):
            state.update(chunk)
            waiting += chunk
            if len(waiting) >= _WRITE:
                await run_in_threadpool(file.write, bytes(waiting))
                waiting.clear()
        _require(state.hexdigest(), digest)
        await run_in_threadpool(file.write, bytes(waiting))
        file.seek(0)
        await limits.signed_room.take(length)
        _held(request).callback(limits.signed_room.give, length)
        return await run_in_threadpool(file.read)


def _require(found: str, digest: str) -> None:
    if "0x" + found != digest:
        raise Refused("wrong_digest", f"the body hashes to 0x{found}, not to what was signed", status=400)


def _held(request: Request) -> ExitStack:
    held = request.state.held
    assert isinstance(held, ExitStack)
    return held

"""The gate in front of the routes: callers are counted, and nobody's body is waited for once there is an answer."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r1coordinator.api.bodies import SMALL, too_large
from r1coordinator.api.limits import Limits, caller_address
from r1coordinator.api.problems import problem_of
from r1net.errors import Refused

_OPEN = ("/healthz",)
"""Answered whoever asks, however many: they cost next to nothing."""
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 20


class Gate:
    """ASGI middleware. What a request holds (counts, memory) is in `scope["state"]["held"]`, and freed at its end."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        with ExitStack() as held:
            scope.setdefault("state", {})["held"] = held
            try:
                if scope["path"] not in _OPEN:
                    held.enter_context(self._limits.requests.hold(caller_address(scope)))
                self._check_length(scope)
            except Refused as refusal:
                await problem_of(refusal)(scope, exchange.receive, exchange.send)
                return
            await self._app(scope, exchange.receive, exchange.send)

    def _check_length(self, scope: Scope) -> None:
        """Refuse by its declared length what no route takes. Blobs have limits of their own."""
        if scope["method"] == "PUT" and scope["path"].startswith("/v1/blobs/"):
            return
        largest = self._limits.settings.max_body_bytes
        limit = largest if scope["path"].endswith("/rollout") else min(largest, SMALL)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)


class Exchange:
    """One request and its answer. An answer that comes before the body is whole ends the connection: after a short
    while in which the sender may read it, since a connection closed at once would take the answer with it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        length, chunked = headers.get(b"content-length", b"0"), b"transfer-encoding" in headers
        self._receive, self._send = receive, send
        self._whole = length.strip() == b"0" and not chunked
        self._waits = headers.get(b"expect", b"").lower() == b"100-continue"

    async def receive(self) -> Message:
        """The request's next message."""
        message = await self._receive()
        self._waits = False
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._whole = True
        return message

    async def send(self, message: Message) -> None:
        """The answer's next message."""
        if self._whole:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
        elif message.get("more_body", False) or self._waits:
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _linger(self) -> None:
        seen = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while not self._whole and seen < _LINGER_BYTES:
                    seen += len((await self.receive()).get("body", b""))

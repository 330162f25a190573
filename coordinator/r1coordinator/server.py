"""The web server: uvicorn with a limit on connections, and on how long a request's head may take."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from r1coordinator.settings import Settings

_SHUTDOWN_SECONDS = 3
_KEEP_ALIVE_SECONDS = 15
_HEAD_BYTES = 32 * 2**10
_READERS_PATIENCE = 6
"""How much longer readers may pause than senders: what they fetch is large."""
_OWN_FILES = 256
"""File descriptors kept for everything that is no connection."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits for a request's head for a while only, and counts connections by address."""

    open: ClassVar[Counter[str]] = Counter()
    each: ClassVar[int] = 256
    """Connections of one address, proxies that are trusted apart."""
    proxies: ClassVar[frozenset[str]] = frozenset()
    head_seconds: ClassVar[float] = 10.0
    """How long a connection may take over a request's first line and headers."""
    read_seconds: ClassVar[float] = 60.0
    """How long a reader may leave what was sent to it lying."""
    _host = ""
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._host = self.client[0] if self.client else ""
        self.open[self._host] += 1
        if self.open[self._host] > self.each and self.proxies.isdisjoint((self._host, "*")):
            transport.abort()
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._head_is_here()
        self._is_read()
        self.open[self._host] -= 1
        if not self.open[self._host]:
            del self.open[self._host]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        else:
            self._head_is_here()

    def pause_writing(self) -> None:
        """See asyncio.Protocol. Closing would wait for a reader that doesn't read: it is aborted."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_read()
        super().resume_writing()

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait_for_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def configure(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How the service is served."""
    proxies = [name.strip() for name in settings.trusted_proxies.split(",") if name.strip()]
    PatientProtocol.each = max(16, settings.max_connections // 8)
    PatientProtocol.proxies = frozenset(proxies)
    PatientProtocol.head_seconds = settings.body_stall_seconds
    PatientProtocol.read_seconds = _READERS_PATIENCE * settings.body_stall_seconds
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=_connections(settings.max_connections),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        proxy_headers=True,
        forwarded_allow_ips=proxies,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )


def _connections(wanted: int) -> int:
    """As many as wanted, or as the process may open files for: accepting one more would stop all of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + _OWN_FILES
    if soft not in (resource.RLIM_INFINITY, files) and soft < files:
        files = files if hard == resource.RLIM_INFINITY else min(hard, files)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(16, files - _OWN_FILES)

"""A proxy between a host and its coordinator, which forwards, or does what bad proxies and lines do."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from tests.e2e.harness.processes import free_port, wait_until

Mood = Literal["502", "429", "page", "cut", "slow", "away"]
"""It answers that nobody is behind it, that it is asked too often, or with a page of its own; it forwards, and loses
the line in the middle of the answer; it forwards after seconds; nobody listens."""

SLOW = 3.0
"""Seconds before the first byte."""

_PAGE = b"<html><body>Please accept the terms of this network.</body></html>"
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "server", "date"})
"""Headers that are each server's own."""


class Proxy:
    """Forwards to `upstream`, a port of this machine, until it is told otherwise."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.mood: Mood | None = None
        self.spoilt = 0
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen."""
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Listen no more, and let go of every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    @contextmanager
    def bad(self, mood: Mood) -> Iterator[None]:
        """While this lasts it is in a mood."""
        self.spoilt = 0
        if mood == "away":
            self.stop()
        self.mood = mood
        try:
            yield
        finally:
            self.mood = None
            if mood == "away":
                self.start()

    def spoil(self, mood: Mood, seconds: float) -> None:
        """Be in a mood for so long, and until somebody has met it."""
        with self.bad(mood):
            time.sleep(seconds)
            if mood != "away":
                wait_until(lambda: self.spoilt > 0, f"a request that meets {mood}", 60)


class _Server(ThreadingHTTPServer):
    """Knows its connections, so that they can be ended."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", proxy.port), _Handler)

    def hang_up(self) -> None:
        """End what is open."""
        for connection in list(self.open):
            _reset(connection)


class _Handler(BaseHTTPRequestHandler):
    """One connection of the host."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.server.open.add(self.request)
        super().setup()

    def finish(self) -> None:
        self.server.open.discard(self.request)
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the host, or this proxy, has hung up
            self.close_connection = True

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mood = self.server.proxy.mood
        if mood is not None:
            self.server.proxy.spoilt += 1
        match mood:
            case "502":
                self._send(502, [("Content-Type", "text/html")], _PAGE)
            case "429":
                self._send(429, [("Retry-After", "1"), ("Content-Type", "text/html")], _PAGE)
            case "page":
                self._send(200, [("Content-Type", "text/html")], _PAGE)
            case _:
                if mood == "slow":
                    time.sleep(SLOW)
                self._forward(body, cut=mood == "cut")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

    def _forward(self, body: bytes, cut: bool) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
        finally:
            upstream.close()
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP | {"content-length"}]
        self._send(answer.status, kept, data, answer.getheader("Content-Length"), cut)

    def _send(
        self, status: int, headers: list[tuple[str, str]], data: bytes, length: str | None = None, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.wfile.flush()
            _reset(self.request)
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _reset(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over already

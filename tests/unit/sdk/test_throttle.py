"""A bound on the line holds for what goes up and what comes down, and nothing is lost by it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from r1net import throttle
from r1net.throttle import Throttle
from r1net.transport import Transport

DATA = os.urandom(1_000_000)
DIGEST = "0x" + hashlib.sha256(DATA).hexdigest()


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Blobs(BaseHTTPRequestHandler):
    taken: list[bytes] = []  # noqa: RUF012 - what was put, for the test

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_PUT(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blobs)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(throttle, "time", made)
    return made


def test_up_and_down_at_the_rate_and_whole(url: str, clock: Clock, tmp_path: Path) -> None:
    bound = Throttle(100_000)
    bound.take(100_000)  # what the bucket holds at the beginning
    started = clock.now
    with Transport(url) as transport:
        transport.throttle = bound
        assert transport.get_blob(DIGEST) == DATA
        assert clock.now - started == pytest.approx(10, rel=0.01)
        transport.put_blob(DIGEST, DATA)
        (tmp_path / "file").write_bytes(DATA)
        transport.put_blob(DIGEST, tmp_path / "file")
        assert clock.now - started == pytest.approx(30, rel=0.01)
    assert Blobs.taken[-2:] == [DATA, DATA]


def test_a_line_that_was_idle_has_no_more_than_a_second_of_credit(clock: Clock) -> None:
    bound = Throttle(1000)
    clock.sleep(3600)
    bound.take(1000)
    assert clock.now == 3600
    bound.take(500)
    assert clock.now == pytest.approx(3600.5)

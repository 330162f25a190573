"""Requests that find no room are sent again for a while, and signed anew each time."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from r1net.errors import Busy, Refused, Unreachable, UsageError
from r1net.protocol.canonical import sha256
from r1net.protocol.session import content_digest
from r1net.protocol.work import LeaseFailure
from r1net.transport import Transport


class Crowded(http.server.BaseHTTPRequestHandler):
    """Turns the first requests away."""

    busy: int
    status: int
    seen: list[tuple[str, str, bytes]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, self.headers.get("Content-Digest", ""), body))
        turned_away = len(self.seen) <= self.busy
        problem = {"code": "too_many_requests", "detail": "come again", "hint": None}
        answer = json.dumps(problem).encode() if turned_away else b"{}"
        self.send_response(self.status if turned_away else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def crowd() -> Iterator[tuple[type[Crowded], str]]:
    kind = type("Own", (Crowded,), {"seen": [], "busy": 1, "status": 429})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kind, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_coordinator_is_asked_again(crowd: tuple[type[Crowded], str], status: int, tmp_path: Path) -> None:
    kind, url = crowd
    kind.status = status
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    with Transport(url) as transport:
        transport.put_blob(sha256(path.read_bytes()), path)
        assert transport.get_json("/v1/jobs") == {}
    put = (f"/v1/blobs/{sha256(path.read_bytes())}", content_digest(sha256(path.read_bytes())), path.read_bytes())
    assert kind.seen == [put, put, ("/v1/jobs", content_digest(sha256(b"")), b"")]


def test_patience_ends(crowd: tuple[type[Crowded], str]) -> None:
    kind, url = crowd
    kind.busy = 1000
    started = time.monotonic()
    with Transport(url, patience=1.5) as transport, pytest.raises(Busy, match="come again") as caught:
        transport.get_json("/v1/jobs")
    assert time.monotonic() - started < 3
    assert isinstance(caught.value, Unreachable), "who waits for an absent coordinator waits for a busy one too"
    assert (caught.value.code, len(kind.seen) > 1) == ("too_many_requests", True)


def test_other_refusals_come_at_once(crowd: tuple[type[Crowded], str]) -> None:
    kind, url = crowd
    kind.status = 403
    with Transport(url) as transport, pytest.raises(Refused):
        transport.get_json("/v1/jobs")
    assert len(kind.seen) == 1


class Between(http.server.BaseHTTPRequestHandler):
    """What stands where the coordinator should: it shows a page, sends elsewhere, or reaches nobody."""

    status = 200

    def _answer(self) -> None:
        self.send_response(self.status)
        self.send_header("Location", "/login")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", "13")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"<html></html>")

    do_GET = do_HEAD = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.mark.parametrize("status", [200, 302, 500, 502, 504, 521])
def test_what_answers_in_the_coordinators_place_is_no_answer(status: int, tmp_path: Path) -> None:
    """Not even to what is only told: whoever believed it would wait for what nobody has heard of."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Between,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = sha256(b"<html></html>")
    with Transport(f"http://127.0.0.1:{server.server_port}") as transport:
        asked: list[Callable[[], object]] = [
            lambda: transport.get_json("/v1/jobs"),
            lambda: transport.tell("/v1/leases/1/failure", LeaseFailure(lease_id="1", code="x", detail="y")),
            lambda: transport.post_empty("/v1/leave"),
            lambda: transport.has_blob(digest),
            lambda: transport.put_blob(digest, b"<html></html>"),
            lambda: transport.get_blob(digest),
            lambda: transport.fetch_blob(digest, tmp_path / "file"),
        ]
        for ask in asked:
            with pytest.raises(Unreachable, match="what answers in its place says"):
                ask()
    server.shutdown()
    server.server_close()
    assert not list(tmp_path.iterdir())


def test_a_proxy_that_has_no_room_is_asked_again_and_told_apart_from_a_refusal() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Between,), {"status": 429}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with Transport(url, patience=0) as transport, pytest.raises(Busy, match="says 429 Too Many Requests") as caught:
        transport.get_json("/v1/jobs")
    server.shutdown()
    server.server_close()
    assert (caught.value.code, bool(caught.value.hint)) == ("busy", True)


def test_plain_http_beyond_this_machine_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        Transport("http://coordinator.example")
    Transport("http://coordinator.example", allow_plain_http=True).close()

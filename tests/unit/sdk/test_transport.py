"""Requests that find no room are sent again for a while, and signed anew each time."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net.errors import Busy, Refused, Unreachable, UsageError
from r1net.protocol.canonical import sha256
from r1net.protocol.session import content_digest
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


def test_plain_http_beyond_this_machine_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        Transport("http://coordinator.example")
    Transport("http://coordinator.example", allow_plain_http=True).close()

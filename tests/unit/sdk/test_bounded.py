"""What a lying coordinator answers: endless, compressed, nested, or nothing that was asked for."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from r1net import bounded
from r1net.errors import ProtocolError, Unreachable
from r1net.protocol.canonical import sha256
from r1net.protocol.job import JobView
from r1net.protocol.views import NetworkInfo
from r1net.transport import Transport


@contextmanager
def answering(body: bytes, **headers: str) -> Iterator[Transport]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with Transport(f"http://127.0.0.1:{server.server_port}") as transport:
            yield transport
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_BYTES", 2**16)
    with answering(b"[" + b" " * 2**17 + b"]") as transport, pytest.raises(Unreachable):
        transport.get_many("/v1/jobs", JobView)


def test_a_blob_is_no_longer_than_it_may_be() -> None:
    body = b"x" * 2**16
    with answering(body) as transport:
        assert transport.get_blob(sha256(body), len(body)) == body
        with pytest.raises(ProtocolError, match="more than"):
            transport.get_blob(sha256(body), len(body) - 1)


def test_only_the_last_part_of_a_path_makes_a_blob(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror chooses the beginning of its paths: that must not free its other answers from their bounds."""
    monkeypatch.setattr(bounded, "MOST_BYTES", 2**16)
    with (
        answering(b" " * 2**17) as direct,
        Transport(f"{direct.url}/v1/blobs") as transport,
        pytest.raises(Unreachable),
    ):
        transport.get("/v1/jobs/x", JobView)


def test_a_compressed_answer_is_not_unpacked() -> None:
    body = gzip.compress(b"[" + b" " * 2**24 + b"]")
    with answering(body, **{"Content-Encoding": "gzip"}) as transport, pytest.raises(Unreachable):
        transport.get_many("/v1/jobs", JobView)


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"a":' * 200_000, b"<html>busy</html>", b"\xff", b"", b"[1]", b'[{"v": 2}]', b'{"x": NaN}'],
)
def test_an_answer_that_is_no_message_is_an_error_of_ours(body: bytes) -> None:
    with answering(body) as transport:
        with pytest.raises(ProtocolError):
            transport.get_many("/v1/jobs", JobView)
        with pytest.raises(ProtocolError):
            transport.get("/v1/network", NetworkInfo)
        if body not in (b"[1]", b'[{"v": 2}]'):
            with pytest.raises(ProtocolError):
                transport.get_json("/v1/refusals")


def test_a_file_that_is_longer_than_it_should_be_is_cut_off(tmp_path: Path) -> None:
    right, long = b"x" * 1000, b"x" * 2**22
    with answering(long) as transport, pytest.raises(ProtocolError, match="more than its 1000 bytes"):
        transport.fetch_blob(sha256(right), tmp_path / "blob", len(right))
    assert not list(tmp_path.iterdir())
    with answering(right) as transport:
        transport.fetch_blob(sha256(right), tmp_path / "blob", len(right))
    assert (tmp_path / "blob").read_bytes() == right

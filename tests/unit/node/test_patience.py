"""A host that comes up before its coordinator waits for it; with a real server that comes up in stages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import socket

import pytest

from r1net.errors import Busy, PreflightError, ProtocolError, Refused, Unreachable
from r1net.protocol.canonical import Message
from r1net.transport import Transport
from r1node import patience
from r1node.events import Events
from r1node.patience import patiently


class Said(Message):
    """What the server says in the end."""

    word: str


class Server:
    """Answers what is next in `answers`; the last repeats. Nothing listens before `start`."""

    def __init__(self) -> None:
        with socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.answers: list[tuple[int, str]] = [(200, json.dumps({"word": "hello"}))]
        self.server: HTTPServer | None = None

    def start(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = HTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self) -> Said:
        with Transport(f"http://127.0.0.1:{self.port}", patience=0.2) as transport:
            return transport.get("/v1/network", Said)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(patience, "_PAUSES", (0.1,))
    made = Server()
    yield made
    if made.server is not None:
        made.server.shutdown()
        made.server.server_close()


def test_it_waits_for_one_that_is_away_and_for_what_stands_between(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [(502, "Bad Gateway"), (429, "slow down"), (200, "<html>log in</html>"), *server.answers]
    threading.Timer(0.5, server.start).start()
    assert patiently(server.ask, Events(), 30).word == "hello"
    said = capsys.readouterr().err
    assert said.count("trying again") >= 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [(None, Unreachable), ((503, "no"), Busy), ((502, "no"), Unreachable), ((200, "hello"), ProtocolError)],
)
def test_it_gives_up_in_the_end_with_what_was_wrong(
    answer: tuple[int, str] | None, error: type[Exception], server: Server
) -> None:
    if answer is not None:
        server.answers = [answer]
        server.start()
    with pytest.raises(error):
        patiently(server.ask, Events(), 0.5)


def test_what_waiting_does_not_help_ends_it_at_once(server: Server) -> None:
    server.answers = [(403, '{"code": "not_bound", "detail": "bind it"}')]
    server.start()
    with pytest.raises(Refused):
        patiently(server.ask, Events(), 3600)

    def unready() -> None:
        raise PreflightError("no pin")

    with pytest.raises(PreflightError):
        patiently(unready, Events(), 3600)

"""Alerts: what arrives, and what becomes of those that don't."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from r1net.errors import UsageError
from r1node import alerts
from r1node.alerts import Alerts, NotDelivered, check_target, deliver
from r1node.events import Events
from r1node.settings import resolve


class Hook(HTTPServer):
    """A web address that keeps what it gets, and answers with `status`."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token/secret"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TRIES", (0.0, 0.1))


def test_a_web_address_gets_json(hook: Hook) -> None:
    events = Events(alert=hook.url)
    events.note("idle", "this is for nobody")
    events.alert("accused", "dispute 3", dispute=3)
    events.close()
    (body,) = hook.bodies
    assert (body["event"], body["text"], body["dispute"]) == ("accused", "dispute 3", 3)
    assert abs(float(str(body["time"])) - time.time()) < 60


def test_what_does_not_arrive_is_said_without_secrets(hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    hook.status = 500
    events = Events(alert=hook.url)
    events.alert("accused", "dispute 3")
    events.close()
    said = capsys.readouterr().err
    assert "status 500" in said
    assert "secret" not in said
    assert len(hook.bodies) == 2, "it was tried again"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://127.0.0.1:9/x", "did not reach"),
        (f"{sys.executable} -c 'import sys; sys.exit(\"no such room\")'", "ended with 1: no such room"),
        ("/nonexistent/alert", "failed"),
        ("/", "failed"),
    ],
)
def test_reasons_are_told(target: str, words: str) -> None:
    with pytest.raises(NotDelivered, match=words):
        deliver(target, {"event": "trial"})


def test_a_receiver_that_hangs_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT", 0.5)
    failed: list[str] = []
    line = Alerts(f"{sys.executable} -c 'import time; time.sleep(60)'", failed.append)
    for number in range(alerts._WAITING + 5):
        line.tell("accused", str(number))
    assert any("is dropped" in words for words in failed)
    deadline = time.monotonic() + 20
    while not any("timed out" in words for words in failed) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any("timed out" in words for words in failed), "and the thread goes on"


@pytest.mark.parametrize("target", ["'open quote", "   ", "http://alerts.example/hook"])
def test_targets_that_cannot_work_are_refused_at_once(target: str) -> None:
    with pytest.raises(UsageError):
        check_target(target, allow_plain_http=False)
    with pytest.raises(UsageError):
        resolve({"alert": target}, {})


def test_the_command_runs_without_a_shell(tmp_path: Path) -> None:
    deliver(f"{sys.executable} -c 'import sys' ; touch {tmp_path}/made", {"event": "trial"})
    assert list(tmp_path.iterdir()) == []

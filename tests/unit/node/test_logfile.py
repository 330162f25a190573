"""The log on disk: complete, small, without secrets, and never in the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from r1node import logfile
from r1node.events import Events
from r1node.logfile import EVENTS, log_to


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Loggers as they were."""
    places = logging.getLogger(), logging.getLogger(EVENTS)
    before = [list(place.handlers) for place in places]
    yield
    for place, handlers in zip(places, before, strict=True):
        for handler in set(place.handlers) - set(handlers):
            place.removeHandler(handler)
            with suppress(OSError):  # as logging.shutdown does at a program's end
                handler.close()


def test_what_is_said_and_what_goes_wrong_is_kept_without_secrets(tmp_path: Path) -> None:
    file = log_to(tmp_path / "worker")
    Events().note("joined", "worker 0 at https://rpc.example/secret-key")
    Events(as_json=True).note("idle", "no job is running")
    logging.getLogger("r1node.agent").warning("could not write %s", "https://user:pass@host/x")
    text = file.read_text()
    assert "joined: worker 0 at https://rpc.example/…" in text
    assert "idle: no job is running" in text
    assert "could not write" in text
    assert "secret-key" not in text
    assert "pass@" not in text


def test_it_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "BYTES", 2_000)
    log_to(tmp_path)
    events = Events()
    for number in range(500):
        events.note("idle", f"number {number}")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + logfile.KEPT
    assert sum(file.stat().st_size for file in files) <= 2_000 * (1 + logfile.KEPT)
    assert "number 499" in (tmp_path / "r1node.log").read_text()


def test_a_disk_that_is_full_is_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r1node.log").symlink_to("/dev/full")
    log_to(tmp_path)
    Events().note("joined", "all the same")
    said = capsys.readouterr().err
    assert "all the same" in said
    assert "Traceback" not in said

"""Words must not cost a worker its work."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from r1node.events import Events


@pytest.mark.parametrize("as_json", [True, False])
def test_a_line_that_cannot_be_written_is_counted_and_told_of_later(
    monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    stream = "stdout" if as_json else "stderr"
    events = Events(as_json)
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, stream, full)
        for number in range(3):
            events.note("accepted", f"traces {number}", receipt={})
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # what it still holds has to go somewhere
    room = io.StringIO()
    monkeypatch.setattr(sys, stream, room)
    events.note("idle", "no work")
    first, second = room.getvalue().splitlines()
    assert "3 lines before this one could not be written" in first
    assert "no work" in second
    if as_json:
        assert [json.loads(line)["event"] for line in (first, second)] == ["lost", "idle"]


def test_a_reader_that_has_gone_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(writing, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        os.close(reading)
        Events(as_json=True).note("joined", "worker 0")
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.fileno())

"""When a worker rests."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.errors import PreflightError, UsageError
from r1node.hours import DAYS, Hours
from r1node.rest import Rest, pause, paused, resume
from r1node.settings import resolve

MONDAY = datetime(2026, 11, 30)
MINUTES = st.integers(0, 24 * 60 - 1)


@pytest.mark.parametrize(
    ("text", "day", "clock", "open_"),
    [
        ("", 3, "12:00", True),
        ("22:00-07:00", 0, "23:59", True),
        ("22:00-07:00", 0, "06:59", True),
        ("22:00-07:00", 0, "07:00", False),
        ("mon 22:00-07:00", 0, "06:00", False),
        ("mon 22:00-07:00", 1, "06:00", True),
        ("sun 22:00-07:00", 0, "06:00", True),
        ("mon-fri 22:00-07:00, sat-sun 00:00-24:00", 5, "12:00", True),
        ("mon-fri 22:00-07:00, sat-sun 00:00-24:00", 4, "12:00", False),
        ("fri-mon 9:00-10:00", 6, "09:30", True),
        ("fri-mon 9:00-10:00", 2, "09:30", False),
    ],
)
def test_hours(text: str, day: int, clock: str, open_: bool) -> None:
    hour, minute = map(int, clock.split(":"))
    assert Hours.parse(text).open(MONDAY + timedelta(days=day, hours=hour, minutes=minute)) is open_


@given(st.sampled_from(DAYS), MINUTES, st.integers(1, 24 * 60), st.integers(0, 7 * 24 * 60 - 1))
def test_a_span_covers_its_minutes_and_no_other(day: str, begin: int, length: int, at: int) -> None:
    end = (begin + length) % (24 * 60)
    hours = Hours.parse(
        f"{day} {begin // 60:02}:{begin % 60:02}-{'24:00' if not end else f'{end // 60:02}:{end % 60:02}'}"
        if end != begin
        else f"{day} 00:00-24:00"
    )
    first, lasts = (DAYS.index(day) * 24 * 60 + begin, length) if end != begin else (DAYS.index(day) * 24 * 60, 24 * 60)
    inside = (at - first) % (7 * 24 * 60) < lasts
    assert hours.open(MONDAY + timedelta(minutes=at)) is inside
    assert hours.open(hours.opens(MONDAY + timedelta(minutes=at)))


@pytest.mark.parametrize(
    "text", ["at night", "25:00-26:00", "22:00", "09:00-09:00", "moo 1:00-2:00", "1:75-2:00", "24:00-1:00"]
)
def test_what_are_no_hours_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve({"hours": text}, {})
    assert refusal.value.hint


def test_a_pause_holds_until_its_time_or_until_it_is_taken_back(tmp_path: Path) -> None:
    own = tmp_path / "workers" / "0"
    rest = Rest((tmp_path, own))
    assert rest.reason() is None
    pause(own, None)
    assert rest.reason() == "paused; r1node resume"
    resume(own)
    pause(tmp_path, time.time() + 600)
    assert (rest.reason() or "").startswith("paused until")
    assert paused(tmp_path, time.time() + 601) is None
    resume(tmp_path)
    resume(tmp_path)
    assert rest.reason() is None


def test_a_hot_machine_rests_until_it_is_clearly_cooler() -> None:
    degrees = iter([80.0, 79.0, 86.0, 84.0, 81.0, 79.9, 84.0])
    rest = Rest((), limit=85.0, temperature=lambda: next(degrees))
    assert [rest.reason() is None for _ in range(6)] == [True, False, False, False, True, True]


def test_a_limit_that_cannot_be_watched_is_refused() -> None:
    with pytest.raises(PreflightError, match="tells no temperature"):
        Rest((), limit=85.0, temperature=lambda: None)

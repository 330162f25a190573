"""Clocks that go wrong on purpose: a reward that looks at the time gives itself away when they differ."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

_SECONDS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
_BROKEN_DOWN = ("localtime", "gmtime")


def shift_clocks(seconds: float) -> None:
    """Put what this process's Python says of the time ahead by so many seconds, for good."""
    for name in _SECONDS:
        setattr(time, name, _later(getattr(time, name), seconds))
        setattr(time, f"{name}_ns", _later(getattr(time, f"{name}_ns"), int(seconds * 1e9)))
    for name in _BROKEN_DOWN:
        setattr(time, name, _at(getattr(time, name), time.time))
    _shift_datetime(datetime.timedelta(seconds=seconds))


def _later(clock: Callable[[], Any], by: float) -> Callable[[], Any]:
    return lambda: clock() + by


def _at(convert: Callable[[float], Any], clock: Callable[[], float]) -> Callable[..., Any]:
    return lambda seconds=None: convert(clock() if seconds is None else seconds)


def _shift_datetime(by: datetime.timedelta) -> None:
    """Their types are the interpreter's and can't be changed: others take their names."""
    true_datetime = datetime.datetime

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return true_datetime.now(tz) + by

        @classmethod
        def utcnow(cls) -> Any:
            return true_datetime.now(datetime.UTC).replace(tzinfo=None) + by

        @classmethod
        def today(cls) -> Any:
            return true_datetime.now() + by

    class LaterDate(datetime.date):
        @classmethod
        def today(cls) -> Any:
            return (true_datetime.now() + by).date()

    datetime.datetime = Later  # type: ignore[misc]
    datetime.date = LaterDate  # type: ignore[misc]

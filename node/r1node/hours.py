"""The hours in which a host works: "mon-fri 22:00-07:00, sat-sun 00:00-24:00", in the machine's own time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from r1net.errors import UsageError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_SPAN = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? +)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})", re.ASCII)
_HINT = 'write "22:00-07:00", or "mon-fri 22:00-07:00, sat-sun 00:00-24:00"'


@dataclass(frozen=True)
class Hours:
    """Spans of minutes that begin on a day (0 is Monday) and may last into the next. No spans: always."""

    spans: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Raises UsageError for what can't be read."""
        return cls(tuple(span for part in text.split(",") if part.strip() for span in _spans(part)))

    def open(self, when: datetime) -> bool:
        """Whether a moment lies in them."""
        minute = when.hour * 60 + when.minute
        yesterday = (when.weekday() - 1) % 7
        return not self.spans or any(
            (day == when.weekday() and begin <= minute < end) or (day == yesterday and minute < end - _DAY)
            for day, begin, end in self.spans
        )

    def opens(self, when: datetime) -> datetime:
        """The next minute, from `when` on, that lies in them."""
        moment = when.replace(second=0, microsecond=0)
        while not self.open(moment):
            moment += timedelta(minutes=1)
        return moment


def _spans(part: str) -> list[tuple[int, int, int]]:
    match = _SPAN.fullmatch(part.strip().lower())
    if match is None:
        raise UsageError(f"{part.strip()!r} are no hours", hint=_HINT)
    first, last, *clock = match.groups()
    begin, end = _minute(part, *clock[:2]), _minute(part, *clock[2:])
    if begin in {end, _DAY}:
        raise UsageError(f"{part.strip()!r} is empty", hint=_HINT)
    return [(day, begin, end if end > begin else end + _DAY) for day in _days(part, first, last)]


def _minute(part: str, hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > _DAY:
        raise UsageError(f"{hour}:{minute} in {part.strip()!r} is no time of the day", hint=_HINT)
    return found


def _days(part: str, first: str | None, last: str | None) -> list[int]:
    if first is None:
        return list(range(7))
    for name in filter(None, (first, last)):
        if name not in DAYS:
            raise UsageError(f"{name!r} in {part.strip()!r} is no day", hint=f"days are {', '.join(DAYS)}")
    begin = DAYS.index(first)
    end = DAYS.index(last) if last is not None else begin
    return [day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))]

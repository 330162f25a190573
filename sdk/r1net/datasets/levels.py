"""The parts that a column splits a data set into: a level for each of its values."""

from __future__ import annotations

import math
from collections.abc import Iterable

from r1net.environments.rows import Row
from r1net.errors import UsageError
from r1net.protocol.problems import MOST_PARTS

NONE = "none"
"""The level of rows that have no value."""

_LONGEST = 60


class Levels:
    """The values of a column, as they are met; without a column all rows are of one level."""

    def __init__(self, column: str | None) -> None:
        self._column = column
        self._met: set[str] = set()

    def of(self, row: Row) -> str:
        """A row's level. Raises UsageError where there are too many, or a value can't name one."""
        level = "" if self._column is None else self._name(row.columns.get(self._column))
        self._met.add(level)
        if len(self._met) > MOST_PARTS:
            hint = "choose a column with fewer, or group them: a curriculum weighs parts, not rows"
            raise UsageError(f"the column {self._column!r} has more than {MOST_PARTS} different values", hint=hint)
        return level

    def sorted(self, levels: Iterable[str]) -> list[str]:
        """In the order of numbers where they are, then of texts; what has no value comes last."""
        return sorted(levels, key=lambda level: (level == NONE, _number(level), level))

    def _name(self, value: object) -> str:
        if value is None:
            return NONE
        if not isinstance(value, str | int | float):
            hint = "a level is a text or a number"
            raise UsageError(f"the column {self._column!r} has values that are {type(value).__name__}", hint=hint)
        name = str(value)
        if len(name) > _LONGEST:
            raise UsageError(f"the column {self._column!r} has values of {len(name)} characters; {_LONGEST} may be")
        return name


def _number(level: str) -> float:
    try:
        value = float(level)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) else math.inf

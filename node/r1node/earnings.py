"""What a host has earned: its rows of work, and their sums. Pure, so that the sums can be held against the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

RowState = Literal["pending", "claimable", "claimed", "held", "forfeited", "unfounded", "lost"]
"""`pending` until its line is paid; `lost` is what can never be paid. The rest as `r1node.claims.LineState`."""
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Row:
    """One piece of work. `amount` in the token's smallest unit; `day` (YYYY-MM-DD, UTC) is when the coordinator closed
    the books over it, None before."""

    job: str
    token: str
    day: str | None
    amount: int
    state: RowState


@dataclass(frozen=True)
class Sums:
    """Of rows in one token, in its smallest unit. `earned` is the sum of the rest; `stuck` is held by a dispute,
    forfeited, or paid by no pot on chain."""

    earned: int
    pending: int
    claimable: int
    claimed: int
    stuck: int


def sums(rows: Iterable[Row]) -> Sums:
    """The sums of rows in one token."""
    parts: dict[str, int] = {field.name: 0 for field in fields(Sums)}
    for row in rows:
        parts["earned"] += row.amount
        parts[row.state if row.state in parts else "stuck"] += row.amount
    return Sums(**parts)


def grouped(rows: Sequence[Row], by: Callable[[Row], K]) -> dict[K, Sums]:
    """The sums of each group, in the order of the groups' first rows."""
    groups: dict[K, list[Row]] = defaultdict(list)
    for row in rows:
        groups[by(row)].append(row)
    return {key: sums(group) for key, group in groups.items()}

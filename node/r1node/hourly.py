"""What a host's work brings an hour, by its own journal and each job's prices: before checks and fees for gas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1net.protocol.job import Prices

WINDOW = 3600.0
"""Seconds that are looked back on."""
_TAIL = 1 << 20
"""Bytes at a journal's end that are read: a line is one task, so these are more than an hour's."""


@dataclass(frozen=True)
class Work:
    """One task that was done: when it ended (Unix seconds), what kind it was, its tokens."""

    time: float
    kind: str
    tokens: int


def worked_on(workers: Path, since: float) -> dict[str, list[Work]]:
    """Job -> what all workers of a data folder have done of it since a time, in order."""
    found: dict[str, list[Work]] = {}
    for path in sorted(workers.glob("*/jobs/*/metrics.jsonl")):
        found.setdefault(path.parent.name, []).extend(work for work in _read(path) if work.time > since)
    return {job: sorted(done, key=lambda work: work.time) for job, done in found.items() if done}


def price_of(kind: str, prices: Prices) -> int:
    """What a token of a kind of task brings."""
    match kind:
        case "rollout":
            return prices.rollout_token
        case "train":
            return prices.trained_token
        case _:
            return prices.verified_token


def an_hour(done: Sequence[Work], prices: Prices, now: float) -> int | None:
    """The smallest units that tasks, in the order of their ends, brought an hour. What was done before the first one
    ended isn't known, so it marks the beginning alone; None where there is no other."""
    if len(done) < 2:
        return None
    earned = sum(work.tokens * price_of(work.kind, prices) for work in done[1:])
    return round(earned * 3600 / max(now - done[0].time, 1.0))


def _read(path: Path) -> Iterator[Work]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        lines = file.read().splitlines()
    for line in lines[size > _TAIL :]:
        try:
            entry = json.loads(line)
            work = Work(float(entry["time"]), str(entry["kind"]), int(entry["tokens"]))
        except (ValueError, KeyError, TypeError):  # a line that a crash has cut
            continue
        yield work

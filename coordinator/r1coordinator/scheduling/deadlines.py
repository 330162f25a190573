"""Rules of how long a lease may take, from what was measured. Heartbeats show life, not work: they move no deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_NEWEST = 0.3
"""Weight of the newest measurement in a worker's mean."""
_SLOWEST = 8
"""A worker gets no more time than one that is so many times slower than the median: slowness buys no delay."""
FETCH_RATE = 2 * 2**20
"""Bytes a second at which a host is expected to load a model, at least, or to upload a version."""
FIRST_TOKENS = 2**15
"""Completion tokens, at most, of the first rollout lease of a worker that is new to a job."""


@dataclass(frozen=True)
class Patience:
    """`factor` times what is expected, at least `least` and at most `most` seconds."""

    factor: float
    least: float
    most: float


def mean_rate(before: float | None, tokens: int, seconds: float) -> float:
    """The exponential mean of tokens a second, after one more task."""
    measured = tokens / max(seconds, 1e-3)
    return measured if before is None else (1 - _NEWEST) * before + _NEWEST * measured


def expected_rate(own: float | None, all_rates: Sequence[float], default: float) -> float:
    """Tokens a second that a worker is taken to do: its own mean, else the median of the job's workers."""
    if not all_rates:
        return default
    middle = median(all_rates)
    return middle if own is None else max(own, middle / _SLOWEST)


def allowance(patience: Patience, tokens: float, rate: float, fetch: int = 0) -> float:
    """Seconds for a task of `tokens`, with `fetch` bytes to load first."""
    expected = tokens / max(rate, 1e-6) + fetch / FETCH_RATE
    return min(max(patience.factor * expected, patience.least), patience.most)

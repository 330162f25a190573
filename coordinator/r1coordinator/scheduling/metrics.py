"""Figures of a round and of an evaluation, from admitted traces. Names are TRL's."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from r1net.errors import Refused
from r1net.protocol.job import PolicyVersion
from r1net.protocol.views import EvaluationRecord
from r1net.rewards import solved

_MOST_METRICS = 200
_LONGEST_NAME = 100
_Z95 = 1.959963984540054


def require_modest(metrics: Mapping[str, float]) -> None:
    """Refuse figures in a number or with names that only fill the database."""
    if len(metrics) > _MOST_METRICS or any(len(name) > _LONGEST_NAME for name in metrics):
        raise Refused(
            "invalid_message", f"at most {_MOST_METRICS} metrics with names of {_LONGEST_NAME} characters", status=422
        )


@dataclass(frozen=True)
class TraceFigures:
    """What the figures need of one trace."""

    group: int
    reward: float
    parts: Mapping[str, float | None]
    tokens: int
    finish_reason: str


def sampling_metrics(traces: Sequence[TraceFigures]) -> dict[str, float]:
    """Rewards and lengths of a round. `reward_std` is the mean of the groups' sample deviations, as in TRL."""
    groups: dict[int, list[float]] = defaultdict(list)
    parts: dict[str, list[float]] = defaultdict(list)
    for trace in traces:
        groups[trace.group].append(trace.reward)
        for name, value in trace.parts.items():
            if value is not None:
                parts[name].append(value)
    deviations = [stdev(rewards) if len(rewards) > 1 else 0.0 for rewards in groups.values()]
    return {
        "reward": fmean(trace.reward for trace in traces),
        "reward_std": fmean(deviations),
        "frac_reward_zero_std": fmean(float(deviation == 0.0) for deviation in deviations),
        "completions/mean_length": fmean(trace.tokens for trace in traces),
        "completions/clipped_ratio": fmean(float(trace.finish_reason == "length") for trace in traces),
        **{f"rewards/{name}/mean": fmean(values) for name, values in parts.items()},
    }


def weighted_means(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """Token-weighted mean of what the trainers reported; a slot without tokens counts as one token."""
    totals: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for tokens, metrics in reports:
        for name, value in metrics.items():
            totals[name] += max(tokens, 1) * value
            weights[name] += max(tokens, 1)
    return {name: total / weights[name] for name, total in totals.items()}


def wilson(correct: int, problems: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson 1927, eq. 1)."""
    if problems == 0:
        return 0.0, 1.0
    p = correct / problems
    square = _Z95 * _Z95
    centre = (p + square / (2 * problems)) / (1 + square / problems)
    half = _Z95 * math.sqrt(p * (1 - p) / problems + square / (4 * problems**2)) / (1 + square / problems)
    return max(0.0, centre - half), min(1.0, centre + half)


def evaluation(version: PolicyVersion, traces: Sequence[TraceFigures]) -> EvaluationRecord:
    """The held-out result of one version."""
    correct = sum(solved(dict(trace.parts)) for trace in traces)
    low, high = wilson(correct, len(traces))
    return EvaluationRecord(
        version=version,
        problems=len(traces),
        correct=correct,
        accuracy=correct / len(traces),
        low=low,
        high=high,
        mean_reward=fmean(trace.reward for trace in traces),
    )

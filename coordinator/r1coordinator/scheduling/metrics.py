"""Figures of a round and of an evaluation, from admitted traces. Names are TRL's."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from r1net.errors import Refused
from r1net.protocol.job import PolicyVersion
from r1net.protocol.views import EvaluationRecord
from r1net.rewards import solved
from r1net.shaping import deviation, has_spread

_MOST_METRICS = 200
_LONGEST_NAME = 100
_Z95 = 1.959963984540054
_EXTREME = re.compile(r"[/_](max|min)$")


def require_modest(metrics: Mapping[str, float]) -> None:
    """Refuse figures in a number or with names that only fill the database."""
    if len(metrics) > _MOST_METRICS or any(len(name) > _LONGEST_NAME for name in metrics):
        raise Refused(
            "invalid_message", f"at most {_MOST_METRICS} metrics with names of {_LONGEST_NAME} characters", status=422
        )


@dataclass(frozen=True)
class TraceFigures:
    """What the figures need of one trace. `shaped` is the reward with the stage's penalties, as it is trained on."""

    group: int
    reward: float | None
    shaped: float | None
    parts: Mapping[str, float | None]
    tokens: int
    finish_reason: str


def sampling_metrics(traces: Sequence[TraceFigures]) -> dict[str, float]:
    """Rewards and lengths of a round, all its traces, as TRL's GRPOTrainer logs them.

    `reward_std` and `rewards/<name>/std` are unbiased, over all completions. A mean of nothing is left out.
    """
    rewards = [trace.reward for trace in traces if trace.reward is not None]
    return {
        **({"reward": fmean(rewards)} if rewards else {}),
        "reward_std": deviation(rewards),
        "frac_reward_zero_std": _without_spread(traces),
        "completions/clipped_ratio": fmean(float(trace.finish_reason == "length") for trace in traces),
        **_lengths("length", [trace.tokens for trace in traces]),
        **_lengths("terminated_length", [trace.tokens for trace in traces if trace.finish_reason == "stop"] or [0]),
        **_parts(traces),
    }


def _without_spread(traces: Sequence[TraceFigures]) -> float:
    """The part of the groups that nothing can be learnt from."""
    groups: dict[int, list[float | None]] = defaultdict(list)
    for trace in traces:
        groups[trace.group].append(trace.shaped)
    return fmean(float(not has_spread(rewards)) for rewards in groups.values())


def _lengths(name: str, lengths: Sequence[int]) -> dict[str, float]:
    found = {"mean": fmean(lengths), "min": float(min(lengths)), "max": float(max(lengths))}
    return {f"completions/{word}_{name}": value for word, value in found.items()}


def _parts(traces: Sequence[TraceFigures]) -> dict[str, float]:
    parts: dict[str, list[float]] = defaultdict(list)
    for trace in traces:
        for name, value in trace.parts.items():
            if value is not None:
                parts[name].append(value)
    means = {f"rewards/{name}/mean": fmean(values) for name, values in parts.items()}
    return means | {f"rewards/{name}/std": deviation(values) for name, values in parts.items()}


def merged(reports: Iterable[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """What the trainers reported, as one: maxima and minima of theirs, token-weighted means of all else.

    A name that ends in "max" or "min" is an extreme. A slot without tokens counts as one token.
    """
    values: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for tokens, metrics in reports:
        for name, value in metrics.items():
            values[name].append((max(tokens, 1), value))
    return {name: _merge(name, found) for name, found in values.items()}


def _merge(name: str, found: Sequence[tuple[int, float]]) -> float:
    extreme = _EXTREME.search(name)
    if extreme is not None:
        return (max if extreme[1] == "max" else min)(value for _, value in found)
    return sum(tokens * value for tokens, value in found) / sum(tokens for tokens, _ in found)


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
    """The held-out result of one version. Problems that no verifier of the job can judge don't count."""
    judged = [full for trace in traces if (full := solved(trace.parts)) is not None]
    rewards = [trace.reward for trace in traces if trace.reward is not None]
    low, high = wilson(sum(judged), len(judged))
    return EvaluationRecord(
        version=version,
        problems=len(judged),
        correct=sum(judged),
        accuracy=fmean(judged) if judged else 0.0,
        low=low,
        high=high,
        mean_reward=fmean(rewards) if rewards else None,
    )

"""From a completion's reward to the number its advantage is made of. Coordinator and trainers must get the same."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from r1net.protocol.job import JobSpec
from r1net.protocol.trace import Trace


def shaped_reward(spec: JobSpec, reward: float | None, length: int) -> float | None:
    """The reward of a training completion of `length` tokens with the stage's penalties; None stays None."""
    if reward is None:
        return None
    return reward + overlong_penalty(length, spec.sampling.max_tokens, spec.stage.overlong_buffer)


def overlong_penalty(length: int, max_tokens: int, buffer: int) -> float:
    """DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13): 0 up to max - buffer, then linear down to -1 at max.

    `buffer` 0 switches it off.
    """
    if buffer == 0:
        return 0.0
    return min(max((max_tokens - buffer - length) / buffer, -1.0), 0.0)


def has_spread(rewards: Iterable[float | None]) -> bool:
    """Whether a group's rewards differ. Where they don't, every advantage is 0 and nothing is learnt."""
    return len({reward for reward in rewards if reward is not None}) > 1


def groups_with_spread(spec: JobSpec, traces: Iterable[Trace]) -> list[int]:
    """The groups among training traces that something can be learnt from, by their index. Whole groups only."""
    groups: dict[int, list[float | None]] = defaultdict(list)
    for trace in traces:
        groups[trace.group].append(shaped_reward(spec, trace.reward, len(trace.completion_ids)))
    return sorted(group for group, rewards in groups.items() if has_spread(rewards))


def deviation(rewards: Iterable[float | None]) -> float:
    """The unbiased standard deviation of what has a reward; 0 for fewer than two. Does not depend on the order."""
    values = [reward for reward in rewards if reward is not None]
    if len(values) < 2:
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))

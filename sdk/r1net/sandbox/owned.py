"""All rewards of one job that run a stranger's code, over completions as a scorer knows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from r1net.protocol.job import JobSpec
from r1net.rewards import computed_outside
from r1net.sandbox.function import USUAL, Surroundings
from r1net.sandbox.judge import CodeReward
from r1net.sandbox.own import Call, OwnMark, OwnReward
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.wheels import Open

Item = tuple[Any, Call]
"""Which group a completion is of, and what a reward is called with for it."""


class OwnRewards:
    """A job's own rewards, and `code`; empty where it has none."""

    def __init__(self, pool: SandboxPool, spec: JobSpec, open_: Open, around: Surroundings = USUAL) -> None:
        job = spec.digest()
        self._rewards: list[OwnReward | CodeReward] = [
            CodeReward(pool, job, reward) if reward.code is None else OwnReward(pool, job, reward, open_, around)
            for reward in spec.rewards
            if computed_outside(reward)
        ]

    def __bool__(self) -> bool:
        return bool(self._rewards)

    def check(self) -> None:
        """Load each. Raises UsageError, SandboxFailed."""
        for reward in self._rewards:
            reward.check()

    def marks(self, items: Sequence[Item]) -> list[dict[str, OwnMark]]:
        """By name, what each reward gives for each completion. Raises UsageError, SandboxFailed."""
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for number, (group, _) in enumerate(items):
            groups[group].append(number)
        calls = [[items[number][1] for number in numbers] for numbers in groups.values()]
        found: list[dict[str, OwnMark]] = [{} for _ in items]
        for reward in self._rewards:
            for numbers, marks in zip(groups.values(), reward.grade(calls), strict=True):
                for number, mark in zip(numbers, marks, strict=True):
                    found[number][reward.name] = mark
        return found

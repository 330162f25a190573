"""What `train(reward=…)` takes, as a job's specification has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from r1net.local_files import LocalFiles
from r1net.own.code import brought
from r1net.protocol.code import RewardCode
from r1net.protocol.job import RewardSpec

Reward = str | Path | Callable[..., Any] | RewardSpec
"""The name of a registered reward, one with its settings, a function as TRL calls reward functions, or the file that
has it: `file.py`, or `file.py:function`."""

Rewards = Reward | Sequence[Reward | tuple[Reward, float]]
"""One reward, or several, with their weights or without."""


def reward_specs(rewards: Rewards, files: LocalFiles) -> tuple[RewardSpec, ...]:
    """The rewards of a specification; files of own ones are kept for the upload. Raises UsageError."""
    if isinstance(rewards, str | Path | RewardSpec) or callable(rewards):
        return (_spec(rewards, None, files),)
    pairs = [item if isinstance(item, tuple) else (item, None) for item in rewards]
    return tuple(_spec(reward, weight, files) for reward, weight in pairs)


def _spec(reward: Reward, weight: float | None, files: LocalFiles) -> RewardSpec:
    if isinstance(reward, RewardSpec):
        return reward if weight is None else reward.model_copy(update={"weight": weight})
    weight = 1.0 if weight is None else weight
    if isinstance(reward, str):
        if ".py" not in reward:
            return RewardSpec(name=reward, weight=weight)
        reward = Path(reward)
    function, code = brought(reward, files, RewardCode, "reward")
    return RewardSpec(name=function, weight=weight, code=code)

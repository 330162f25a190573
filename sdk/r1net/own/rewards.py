"""What `train(reward=…)` takes, as a job's specification has it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.own.script import read_script
from r1net.own.source import source_of
from r1net.own.wheels import resolve
from r1net.protocol.job import RewardCode, RewardSpec

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
    source = source_of(reward)
    script = read_script(source.text, source.path.name)
    wheels = resolve(script.dependencies, files, script.closed)
    try:
        code = RewardCode(
            source=files.add(source.data),
            function=source.function,
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            wheels=wheels,
            **script.settings,
        )
        return RewardSpec(name=source.function, weight=weight, code=code)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the reward {source.function} of {source.path.name}: {where}: {first['msg']}") from error

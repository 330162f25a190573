"""What `train(reward=…)` takes, as a job's specification has it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.own.kept import keep
from r1net.own.script import read_script
from r1net.own.source import source_of
from r1net.own.wheels import resolve
from r1net.protocol.job import RewardCode, RewardSpec

Reward = str | Path | Callable[..., Any]
"""The name of a registered reward, a function as TRL calls reward functions, or the file that has it: `file.py`, or
`file.py:function`."""

Rewards = Reward | Sequence[tuple[Reward, float]]
"""One reward, or several with their weights."""


def reward_specs(rewards: Rewards) -> tuple[RewardSpec, ...]:
    """The rewards of a specification; files of own ones are kept for the upload. Raises UsageError."""
    if isinstance(rewards, str | Path) or callable(rewards):
        return (_spec(rewards, 1.0),)
    return tuple(_spec(reward, weight) for reward, weight in rewards)


def _spec(reward: Reward, weight: float) -> RewardSpec:
    if isinstance(reward, str):
        if ".py" not in reward:
            return RewardSpec(name=reward, weight=weight)
        reward = Path(reward)
    source = source_of(reward)
    script = read_script(source.text, source.path.name)
    wheels = resolve(script.dependencies)
    try:
        code = RewardCode(
            source=keep(source.data),
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

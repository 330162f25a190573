"""What a reward is: a function of one completion of one problem, made from the job's settings for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from r1net.environments.base import Environment, Problem


@dataclass(frozen=True)
class Completion:
    """A completion's text, what its prompt opened before it, and its length in tokens, a stop token included.

    `truncated`: it was cut off at the job's longest length. Of several turns `text` is the last one, and `turns` are
    all that the model said.
    """

    text: str
    opened: str = ""
    tokens: int = 0
    truncated: bool = False
    turns: tuple[str, ...] = ()


RewardFunction = Callable[[Environment, Problem, Completion], float | None]
"""The mark of a completion; None where the reward does not apply to the problem."""

RewardFactory = Callable[[dict[str, Any]], RewardFunction]
"""Makes a reward from the job's settings for it. Raises UsageError on settings that it doesn't have."""


class RewardSettings(BaseModel):
    """Base of the settings of a reward: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NoSettings(RewardSettings):
    """A reward without settings."""

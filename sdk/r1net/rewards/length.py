"""Whether a completion is as long as it should be."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from r1net.environments.base import Environment, Problem
from r1net.rewards.base import Completion, RewardFunction, RewardSettings

_LONGEST = 2**20


class _Settings(RewardSettings):
    target: int | None = Field(default=None, ge=1, le=_LONGEST)
    min: int | None = Field(default=None, ge=1, le=_LONGEST)
    max: int | None = Field(default=None, ge=1, le=_LONGEST)

    @model_validator(mode="after")
    def _says_what_is_wanted(self) -> Self:
        bounded = self.min is not None or self.max is not None
        if bounded == (self.target is not None):
            raise ValueError("say either target, or min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is more than max")
        return self


def length(config: dict[str, Any]) -> RewardFunction:
    """1 for a length n in tokens from `min` to `max` (or of `target`); outside, 1 − |n − bound| / bound, and never less
    than 0. With `target` that is LCPO-Exact's linear penalty with α = 1 / target (arXiv:2503.04697, eq. 1)."""
    settings = _Settings.model_validate(config)
    low, high = settings.target or settings.min, settings.target or settings.max

    def mark(_environment: Environment, _problem: Problem, completion: Completion) -> float:
        tokens = completion.tokens
        if low is not None and tokens < low:
            return tokens / low
        if high is not None and tokens > high:
            return max(0.0, 1.0 - (tokens - high) / high)
        return 1.0

    return mark

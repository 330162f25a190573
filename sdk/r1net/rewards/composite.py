"""Several rewards as one: their weighted sum, or the product of all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

from pydantic import Field, model_validator

from r1net.environments.base import Environment, Problem
from r1net.protocol.job import RewardSpec
from r1net.rewards.base import Completion, RewardFactory, RewardFunction, RewardSettings


class _Settings(RewardSettings):
    of: tuple[RewardSpec, ...] = Field(min_length=1, max_length=16)
    low: float | None = Field(default=None, ge=-1000, le=1000)
    high: float | None = Field(default=None, ge=-1000, le=1000)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is more than high")
        return self

    def bounded(self, value: float) -> float:
        """The value within the bounds there are."""
        value = value if self.low is None else max(value, self.low)
        return value if self.high is None else min(value, self.high)


Make = Callable[[RewardSpec], RewardFunction]


def summed(make: Make) -> RewardFactory:
    """Σ weight · mark over the rewards `of` that apply, kept within `low` and `high` where they are given; None where
    none applies."""
    return _composite(make, math.fsum)


def multiplied(make: Make) -> RewardFactory:
    """Π weight · mark over the rewards `of` that apply, kept within `low` and `high` where they are given; None where
    none applies."""
    return _composite(make, math.prod)


def combined(config: dict[str, Any]) -> tuple[RewardSpec, ...]:
    """The rewards that the settings name."""
    return _Settings.model_validate(config).of


def _composite(make: Make, combine: Callable[[list[float]], float]) -> RewardFactory:
    def factory(config: dict[str, Any]) -> RewardFunction:
        settings = _Settings.model_validate(config)
        parts = [(spec.weight, make(spec)) for spec in settings.of]

        def mark(environment: Environment, problem: Problem, completion: Completion) -> float | None:
            found = ((weight, part(environment, problem, completion)) for weight, part in parts)
            marks = [weight * value for weight, value in found if value is not None]
            return settings.bounded(combine(marks)) if marks else None

        return mark

    return factory

"""A verifier's mark, scaled by the completion's length: the shorter right is better, the longer wrong is less bad."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pydantic import Field

from r1net.environments.base import Environment, Problem
from r1net.protocol.job import RewardSpec
from r1net.rewards.base import Completion, RewardFactory, RewardFunction, RewardSettings

_TERMS = 11
"""Terms of the series, of which the first left out is below 1e-18 at a quarter turn."""


class _Settings(RewardSettings):
    of: RewardSpec = RewardSpec(name="correct")
    max_len: int = Field(default=1000, ge=1, le=2**20)
    min_value_wrong: float = Field(default=-1.0, ge=-1000, le=1000)
    max_value_wrong: float = Field(default=-0.5, ge=-1000, le=1000)
    min_value_correct: float = Field(default=0.5, ge=-1000, le=1000)
    max_value_correct: float = Field(default=1.0, ge=-1000, le=1000)


def cosine(make: Callable[[RewardSpec], RewardFunction]) -> RewardFactory:
    """a + (b − a) · (1 + cos(π · min(n / `max_len`, 1))) / 2 for n tokens, where `of` (a verifying reward) gives full
    marks with a, b = `min_value_correct`, `max_value_correct`, else with a, b = `max_value_wrong`, `min_value_wrong`
    (arXiv:2502.03373, appendix C.1; `get_cosine_scaled_reward` of TRL; open-r1's counts characters, and rises again
    behind max_len). None where `of` does not apply."""

    def factory(config: dict[str, Any]) -> RewardFunction:
        settings = _Settings.model_validate(config)
        verify = make(settings.of)

        def mark(environment: Environment, problem: Problem, completion: Completion) -> float | None:
            verified = verify(environment, problem, completion)
            if verified is None:
                return None
            low, high = settings.min_value_correct, settings.max_value_correct
            if verified < 1.0:
                low, high = settings.max_value_wrong, settings.min_value_wrong
            return low + 0.5 * (high - low) * (1.0 + half_turn(min(completion.tokens / settings.max_len, 1.0)))

        return mark

    return factory


def scaled(config: dict[str, Any]) -> tuple[RewardSpec, ...]:
    """The reward that the settings name."""
    return (_Settings.model_validate(config).of,)


def half_turn(share: float) -> float:
    """cos(π · share) for a share in [0, 1], by single IEEE-754 operations: `math.cos` differs between C libraries, and
    between processors with and without fused multiply-add."""
    if share > 0.5:
        return -half_turn(1.0 - share)
    square, total = (share * math.pi) * (share * math.pi), 0.0
    for term in range(2 * _TERMS, 0, -2):
        total = (1.0 + total) * -square / (term * (term - 1))
    return 1.0 + total

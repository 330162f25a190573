"""A penalty for saying the same again."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from r1net.environments.base import Environment, Problem
from r1net.rewards.base import Completion, RewardFunction, RewardSettings


class _Settings(RewardSettings):
    ngram_size: int = Field(default=3, ge=1, le=100)
    max_penalty: float = Field(default=-1.0, ge=-1000, le=0)


def repetition(config: dict[str, Any]) -> RewardFunction:
    """`max_penalty` · (1 − different n-grams / n-grams), of `ngram_size` words in lower case, cut at white space; 0 for
    fewer words than that (arXiv:2502.03373, appendix C.2; `get_repetition_penalty_reward` of open-r1, language en)."""
    settings = _Settings.model_validate(config)

    def mark(_environment: Environment, _problem: Problem, completion: Completion) -> float:
        words = completion.text.lower().split()
        grams = list(zip(*(words[begin:] for begin in range(settings.ngram_size)), strict=False))
        repeated = len(grams) - len(set(grams))
        return repeated / len(grams) * settings.max_penalty if repeated else 0.0

    return mark

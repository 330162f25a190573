"""How much of the format of thought and answer is there."""

from __future__ import annotations

from typing import Any

from r1net.environments.base import Environment, Problem
from r1net.rewards.base import Completion, NoSettings, RewardFunction

_WANTED = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")


def tag_count(config: dict[str, Any]) -> RewardFunction:
    """0.25 for each of `<think>⏎`, `⏎</think>⏎`, `⏎<answer>⏎` and `⏎</answer>` that occurs exactly once (⏎ is a line's
    end): `tag_count_reward` of open-r1. What the prompt opened is counted."""
    NoSettings.model_validate(config)

    def mark(_environment: Environment, _problem: Problem, completion: Completion) -> float:
        text = completion.opened + completion.text
        return 0.25 * sum(text.count(tag) == 1 for tag in _WANTED)

    return mark

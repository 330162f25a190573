"""Rewards by name. Each scores one completion of one problem; `None` means that it does not apply.

A completion's reward is the weighted sum of the parts that apply. Where none does, it has no reward: its advantage is
0, and its group's mean and deviation are those of the others.

What the prompt itself opens (R1's template ends in `<think>`, and so do prefills) belongs to what rewards read: see
`opened`.

The coordinator recomputes every reward from the token ids, so a reward is a pure function of problem, prompt and
completion.
"""

from r1net.rewards.answers import TAGS, extract_answer, opened
from r1net.rewards.base import Completion, RewardFunction
from r1net.rewards.registry import VERIFYING, RewardSet, computed_outside, names, solved, total, verifiers

__all__ = [
    "TAGS",
    "VERIFYING",
    "Completion",
    "RewardFunction",
    "RewardSet",
    "computed_outside",
    "extract_answer",
    "names",
    "opened",
    "solved",
    "total",
    "verifiers",
]

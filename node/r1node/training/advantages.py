"""Advantages from the rewards of groups. B groups of G completions."""

from __future__ import annotations

from torch import Tensor

from r1net.protocol.job import Baseline, RewardScale

STD_EPSILON = 1e-4
"""Added to a standard deviation, as TRL does, so that equal rewards give advantage 0."""


def advantages(rewards_BG: Tensor, baseline: Baseline, scale: RewardScale) -> Tensor:
    """(B, G) rewards to (B, G) advantages. A group of equal rewards gets zeros.

    baseline  "group": the group's mean (GRPO, arXiv:2402.03300, section 4.1.2)
              "leave_one_out": the mean of the others (RLOO, arXiv:2402.14740, eq. 8)
    scale     "group": divide by the group's unbiased standard deviation (GRPO)
              "none": leave as it is (Dr. GRPO, arXiv:2503.20783, eq. 3)
    """
    centred = rewards_BG - rewards_BG.mean(1, keepdim=True)
    if baseline == "leave_one_out":
        size = rewards_BG.shape[1]
        centred = centred * (size / (size - 1))  # r - (S - r)/(G - 1) = G/(G - 1) · (r - S/G)
    if scale == "group":
        return centred / (rewards_BG.std(1, keepdim=True) + STD_EPSILON)
    return centred


def overlong_penalty(lengths_N: Tensor, max_tokens: int, buffer: int) -> Tensor:
    """DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13): 0 up to max - buffer, then linear down to -1 at max.

    `buffer` 0 switches it off.
    """
    if buffer == 0:
        return lengths_N.new_zeros(lengths_N.shape, dtype=lengths_N.dtype)
    return ((max_tokens - buffer - lengths_N) / buffer).clamp(-1.0, 0.0)

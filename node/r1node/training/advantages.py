"""Advantages from the rewards of groups. B groups of G completions."""

from __future__ import annotations

import torch
from torch import Tensor

from r1net.protocol.job import Baseline, RewardScale

STD_EPSILON = 1e-4
"""Added to a standard deviation, as TRL does, so that nearly equal rewards don't explode."""


def advantages(rewards_BG: Tensor, baseline: Baseline, scale: RewardScale, round_std: float = 0.0) -> Tensor:
    """(B, G) rewards to (B, G) advantages.

    baseline  "group": the group's mean (GRPO, arXiv:2402.03300, section 4.1.2)
              "leave_one_out": the mean of the others (RLOO, arXiv:2402.14740, eq. 8)
    scale     "group": divide by the group's unbiased standard deviation (GRPO)
              "batch": by `round_std`, that of all rewards of the round (arXiv:2508.08221, section 4.1)
              "none": leave as it is (Dr. GRPO, arXiv:2503.20783, eq. 3)

    A reward of NaN is none at all: the completion gets advantage 0, and its group's mean and deviation are those of
    the others. A group whose rewards are all equal, or which has fewer than two, gets zeros.
    """
    scored = ~rewards_BG.isnan()
    count = scored.sum(1, keepdim=True)
    mean = rewards_BG.nansum(1, keepdim=True) / count.clamp(min=1)
    lowest = torch.where(scored, rewards_BG, torch.inf).amin(1, keepdim=True)
    highest = torch.where(scored, rewards_BG, -torch.inf).amax(1, keepdim=True)
    centred = torch.where(scored & (lowest < highest), rewards_BG - mean, 0.0)
    others = (count - 1).clamp(min=1)
    std = (centred.square().sum(1, keepdim=True) / others).sqrt()
    if baseline == "leave_one_out":
        centred = centred * count / others  # r - (S - r)/(n - 1) = n/(n - 1) · (r - S/n)
    if scale == "none":
        return centred
    return centred / ((std if scale == "group" else round_std) + STD_EPSILON)

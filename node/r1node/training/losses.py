"""Losses and advantages as pure functions of tensors.

Shape letters: N completions, T completion tokens (padded), so `logprobs_NT`; `mask_NT` is 1 on real tokens.
Every function fills or consumes per-token coefficients, so other stages need no other trainer.
"""

from __future__ import annotations

import torch
from torch import Tensor

STD_EPSILON = 1e-4
"""Added to a group's standard deviation, as in TRL, so that a group without spread has advantage 0."""


def group_advantages(rewards_BG: Tensor, scale: bool) -> Tensor:
    """Group-relative advantages (arXiv:2402.03300, section 4.1.2): r - mean, over the unbiased std where `scale`.

    Without `scale` this is Dr. GRPO's (arXiv:2503.20783, eq. 3). A group of equal rewards gives zeros.
    """
    centred = rewards_BG - rewards_BG.mean(1, keepdim=True)
    if not scale:
        return centred
    return centred / (rewards_BG.std(1, keepdim=True) + STD_EPSILON)


def truncated_ratio(trainer_NT: Tensor, sampler_NT: Tensor, cap: float) -> Tensor:
    """Truncated importance weights min(π_trainer / π_sampler, cap) for each token; ones where `cap` is 0.

    They correct for the sampler's numerics differing from the trainer's (arXiv:2510.26788; TIS).
    """
    if cap == 0:
        return torch.ones_like(trainer_NT)
    return (trainer_NT.detach() - sampler_NT).exp().clamp(max=cap)


def clipped_policy_loss(
    logprobs_NT: Tensor, old_NT: Tensor, advantages_N: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """PPO's clipped surrogate for each token, negated (arXiv:1707.06347 eq. 7; DAPO's range arXiv:2503.14476 eq. 8)."""
    ratio = (logprobs_NT - old_NT).exp()
    advantages = advantages_N[:, None]
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)


def token_mean(loss_NT: Tensor, mask_NT: Tensor, tokens: int) -> Tensor:
    """Sum over real tokens divided by the round's token count (DAPO's token-level loss, arXiv:2503.14476 eq. 12).

    `tokens` counts the whole round's, not the batch's: so sums over micro-batches and nodes add up exactly.
    """
    return (loss_NT * mask_NT).sum() / max(tokens, 1)

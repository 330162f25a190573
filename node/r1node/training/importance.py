"""Correction for the mismatch between the sampler's numerics and the trainer's (arXiv:2510.26788, "TIS" and "MIS").

Weights are constants: no gradient flows through them. N completions, T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from r1net.protocol.job import ImportanceLevel, ImportanceMode


def importance_weights(
    trainer_NT: Tensor, sampler_NT: Tensor, mask_NT: Tensor, level: ImportanceLevel, mode: ImportanceMode, cap: float
) -> Tensor:
    """π_trainer / π_sampler for each token (N, T), bounded by `cap`; ones where `cap` is 0.

    level  "token": each token's own ratio; "sequence": the product over the sequence, the same at each of its tokens
    mode   "truncate": min(ratio, cap) (TIS); "mask": the ratio, or 0 where it exceeds cap (MIS)
    """
    if cap == 0:
        return torch.ones_like(trainer_NT)
    difference = (trainer_NT.detach() - sampler_NT) * mask_NT
    if level == "sequence":
        difference = difference.sum(-1, keepdim=True).expand_as(trainer_NT)
    ratio = difference.exp()
    if mode == "truncate":
        return ratio.clamp(max=cap)
    return torch.where(ratio > cap, torch.zeros_like(ratio), ratio)

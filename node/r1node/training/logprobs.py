"""Log-probabilities of chosen tokens without the logits of the whole batch in memory at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 512
"""Positions whose logits exist at one time; recomputed in the backward pass."""


def selected_logprobs(
    hidden_ME: Tensor, targets_M: Tensor, head: Callable[[Tensor], Tensor], temperature: float
) -> tuple[Tensor, Tensor]:
    """log π(target) and the entropy (no gradient) at each of M positions, both (M,) float32, in nats.

    `temperature` is the sampler's: the policy that is trained is the one that was sampled. 0 (greedy) counts as 1.
    """
    scale = temperature or 1.0
    logprobs, entropies = [], []
    for hidden, targets in zip(hidden_ME.split(CHUNK), targets_M.split(CHUNK), strict=True):
        logprob, entropy = checkpoint(_chunk, hidden, targets, head, scale, use_reentrant=False)
        logprobs.append(logprob)
        entropies.append(entropy)
    return torch.cat(logprobs), torch.cat(entropies)


def _chunk(hidden: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor], scale: float) -> tuple[Tensor, Tensor]:
    logits = head(hidden).float() / scale
    normaliser = logits.logsumexp(-1)
    chosen = logits.gather(-1, targets[:, None])[:, 0] - normaliser
    with torch.no_grad():
        entropy = normaliser - (logits.softmax(-1) * logits).sum(-1)
    return chosen, entropy

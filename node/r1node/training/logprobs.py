"""Log-probabilities of chosen tokens, forward and backward, without the logits of the whole batch in memory.

The last layer is done by hand, a chunk of positions at a time. Forward keeps only the hidden states and one normaliser
for each position; backward computes a chunk's logits again and turns them into the gradient in place:
∂ log π(y) / ∂ logits = (one-hot(y) - π) / temperature.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 256
"""Positions whose logits exist at one time: 50 MB for a vocabulary of 49,152."""


def selected_logprobs(
    hidden_ME: Tensor, targets_M: Tensor, head_VE: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """log π(target) and the entropy (no gradient) at each of M positions, both (M,) float32, in nats.

    `head_VE` is the output embedding. Products are made in the hidden states' precision, the rest in float32.
    `temperature` is the sampler's: the policy that is trained is the one that was sampled. 0 (greedy) counts as 1.
    """
    return _Head.apply(hidden_ME, targets_M, head_VE, temperature or 1.0)  # type: ignore[no-any-return]


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        weight = head.to(hidden.dtype)
        normalisers = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        chosen, entropy = torch.empty_like(normalisers), torch.empty_like(normalisers)
        for rows in _chunks(len(hidden)):
            logits = _logits(hidden[rows], weight, temperature)
            normalisers[rows] = logits.logsumexp(-1)
            chosen[rows] = logits.gather(-1, targets[rows, None])[:, 0] - normalisers[rows]
            probabilities = (logits - normalisers[rows, None]).exp_()
            entropy[rows] = normalisers[rows] - torch.linalg.vecdot(probabilities, logits)
        ctx.save_for_backward(hidden, targets, head, normalisers)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy)
        return chosen, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        hidden, targets, head, normalisers = ctx.saved_tensors
        weight = head.to(hidden.dtype)
        by_hidden = torch.empty_like(hidden)
        by_head = torch.zeros_like(head) if ctx.needs_input_grad[2] else None
        for rows in _chunks(len(hidden)):
            slope = _logits(hidden[rows], weight, ctx.temperature).sub_(normalisers[rows, None]).exp_().neg_()
            slope[torch.arange(len(slope), device=slope.device), targets[rows]] += 1.0
            slope *= (gradients[0][rows] / ctx.temperature)[:, None]
            by_logits = slope.to(hidden.dtype)
            by_hidden[rows] = by_logits @ weight
            if by_head is not None:
                by_head += by_logits.T @ hidden[rows]
        return by_hidden, None, by_head, None


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    logits = (hidden @ weight.T).float()
    return logits if temperature == 1.0 else logits.div_(temperature)


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]

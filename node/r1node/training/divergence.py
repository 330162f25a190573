"""Divergences between two policies' whole distributions, a part of the vocabulary at a time.

With p the policy's softmax and q the teacher's, at each of M positions:
  forward  KL(q ‖ p) = Σ q (log q - log p),  ∂/∂logits = p - q
  reverse  KL(p ‖ q) = Σ p (log p - log q),  ∂/∂logits = p (log p - log q - KL)
both divided by the temperature, which both policies share.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

DivergenceKind = Literal["forward", "reverse"]


def fold(kind: DivergenceKind, logp: Tensor, logq: Tensor) -> Tensor:
    """A part's contribution (M) to the divergence, from log p and log q (M, part)."""
    if kind == "forward":
        return (logq.exp() * (logq - logp)).sum(1)
    return (logp.exp() * (logp - logq)).sum(1)


def slope(kind: DivergenceKind, logp: Tensor, logq: Tensor, divergence: Tensor) -> Tensor:
    """∂ divergence / ∂ (logits · scale), (M, part)."""
    if kind == "forward":
        return torch.sub(logp.exp(), logq.exp())
    return logp.exp() * (logp - logq - divergence[:, None])

"""What the kernels are told besides tensors: which heads are normed, where rows lie in the key-value cache."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

HeadNorms = tuple[Tensor | None, Tensor | None]
"""Weights (D) of the norms of q's and k's heads, where a family has them."""

NO_NORMS: HeadNorms = (None, None)


@dataclass(frozen=True)
class Rows:
    """N sequences in step; three int64 tensors (N).

    `slots`: each one's place among the completions' keys and values. `prompts`: its prompt's place among the prompts'.
    `t`: how many tokens its completion has before this one.
    """

    slots: Tensor
    prompts: Tensor
    t: Tensor


Store = tuple[tuple[Tensor, Tensor], Rows]
"""Room for the completions' keys and values, two of (slots, K, T, D), and where each row writes."""

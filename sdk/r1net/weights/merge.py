"""A LoRA pair merged into its weight, in single float32 operations that every IEEE-754 machine does alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**16
"""Values of a block of rows: what an operation leaves is still in a CPU's cache for the next."""


def merge_pair(
    weight: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """W + (Σₖ B[:, k]·A[k, :])·scale (arXiv:2106.09685, eq. 3), with scale = α / rank.

    weight = W (out, in), low = A (rank, in), high = B (out, rank), all float32. The ranks' products are added one after
    the other; each multiplication and each addition is rounded by itself: no fused multiply-add, no matrix product.
    The trainer's `r1node.training.exact.merge_pair` makes the same bytes.
    """
    merged, factor = np.empty_like(weight), np.float32(scale)
    rows = max(1, _BLOCK // weight.shape[1])
    product = np.empty((rows, weight.shape[1]), np.float32)
    for start in range(0, len(weight), rows):
        into = merged[start : start + rows]
        column, step = high[start : start + rows], product[: len(into)]
        np.multiply(column[:, :1], low[:1], out=into)
        for rank in range(1, len(low)):
            np.multiply(column[:, rank : rank + 1], low[rank], out=step)
            np.add(into, step, out=into)
        np.multiply(into, factor, out=into)
        np.add(weight[start : start + rows], into, out=into)
    return merged

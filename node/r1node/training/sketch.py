"""A gradient's count-sketch: few numbers that are enough to tell two gradients apart, and that add up.

Charikar, Chen, Farach-Colton (2002), with rows of the flat vector in place of single values: each value gets a random
sign, each row of `BUCKETS` values a random rotation, and the rows are summed. E[⟨S(x), S(y)⟩] = ⟨x, y⟩, and a norm's
square comes out within √(2 / BUCKETS) = 3 %. S(x) + S(y) = S(x + y), so the slots' sketches sum to that of the sum.

Signs and rotations come from a seed that is drawn after the gradients were fixed: who knows it before can find another
gradient with the same sketch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from r1net.protocol.gradients import BUCKETS

ROWS = 64
"""Rows that are signed at a time."""


def sketch(vector: Tensor, seed: str) -> NDArray[np.float32]:
    """The sketch (BUCKETS) of a flat float32 vector on the CPU. `seed`: 32 bytes, `0x` hex."""
    stream = np.random.Philox(key=int(seed[2:34], 16))
    total = np.zeros(BUCKETS)
    values = vector.numpy()
    for start in range(0, len(values), ROWS * BUCKETS):
        block = values[start : start + ROWS * BUCKETS]
        words = stream.random_raw(ROWS * BUCKETS // 64 + ROWS // 4)
        bits = np.unpackbits(words[: ROWS * BUCKETS // 64].view(np.uint8), count=len(block))
        signed = np.where(bits == 1, block, -block)
        shifts = words[ROWS * BUCKETS // 64 :].view(np.uint16) % BUCKETS
        for number, shift in zip(range(0, len(block), BUCKETS), shifts.tolist(), strict=False):
            _add_rotated(total, signed[number : number + BUCKETS], shift)
    return total.astype(np.float32)


def _add_rotated(total: NDArray[np.float64], row: NDArray[np.float32], shift: int) -> None:
    room = BUCKETS - shift
    total[shift : shift + len(row)] += row[:room]
    total[: max(0, len(row) - room)] += row[room:]

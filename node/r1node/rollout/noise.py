"""The noise of the sampling rule gumbel/1: for each sequence a stream that its seed alone names.

Completion token t of a sequence has `width(V)` standard Gumbel values, of which the first ⌈V / BLOCK⌉ belong to the
blocks of the vocabulary and the last BLOCK to the places within the block that wins. They are -log(-log(u)) of the
next uniforms of a Philox4x64-10 stream (Salmon et al. 2011) whose key is the seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BLOCK = 128
"""Logits in a block."""

CHUNK = 8
"""Tokens whose noise is drawn at one time."""

LEAST_UNIFORM = 2.0**-54
"""Stands for 0, whose Gumbel value would be minus infinity."""


def width(vocabulary: int) -> int:
    """Gumbel values for one token, rounded up to whole Philox blocks of four."""
    return -(-(blocks(vocabulary) + BLOCK) // 4) * 4


def blocks(vocabulary: int) -> int:
    """Blocks of a vocabulary."""
    return -(-vocabulary // BLOCK)


class Stream:
    """One sequence's noise, drawn as far as it is needed."""

    def __init__(self, seed: int, vocabulary: int) -> None:
        self._seed, self._width, self._first = seed, width(vocabulary), 0
        self._drawn = np.empty((0, self._width))

    def at(self, step: int) -> np.ndarray:
        """The values (width,) float64 of completion token `step`, from 0; steps may come in any order."""
        if not self._first <= step < self._first + len(self._drawn):
            self._first = step - step % CHUNK
            philox = np.random.Philox(key=self._seed).advance(self._first * self._width // 4)
            uniform = np.random.Generator(philox).random((CHUNK, self._width))
            self._drawn = -np.log(-np.log(np.maximum(uniform, LEAST_UNIFORM)))
        row: np.ndarray = self._drawn[step - self._first]
        return row

    def forget(self) -> None:
        """Free the memory of what was drawn; it comes again when it is asked for."""
        self._drawn = self._drawn[:0].copy()


class Noise:
    """The noise of several sequences, which may stand at different tokens."""

    def __init__(self, seeds: Sequence[int], vocabulary: int) -> None:
        self._streams = [Stream(seed, vocabulary) for seed in seeds]

    def at(self, sequences: Tensor, steps: Tensor | int) -> Tensor:
        """(N, width) float64 for N sequences by their numbers, each at its own step or all at one."""
        places = sequences.tolist()
        at = [steps] * len(places) if isinstance(steps, int) else steps.tolist()
        rows = [self._streams[number].at(step) for number, step in zip(places, at, strict=True)]
        return torch.from_numpy(np.stack(rows))

    def release(self, sequence: int) -> None:
        """Forget what was drawn for a sequence that has ended."""
        self._streams[sequence].forget()

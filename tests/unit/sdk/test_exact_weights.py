"""The cast and the merge against torch's: the trainer's bytes and the submitter's are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from r1net.weights.merge import merge_pair
from r1net.weights.rounding import to_bfloat16, widen, widen_half
from r1node.training.exact import merge_pair as trainers_merge

ALL_16_BITS = np.arange(2**16, dtype=np.uint32).astype(np.uint16)


def edges() -> np.ndarray:
    """Every bfloat16 with lower halves that round down, tie, and round up."""
    upper = np.arange(2**16, dtype=np.uint32) << np.uint32(16)
    lower = (0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF)
    return np.concatenate([upper | np.uint32(low) for low in lower]).view(np.float32)


def torchs(values: np.ndarray) -> np.ndarray:
    cast = torch.from_numpy(values.copy()).to(torch.bfloat16)
    return cast.view(torch.int16).numpy().view(np.uint16)


def same_but_for_nan(values: np.ndarray) -> None:
    mine, theirs, nan = to_bfloat16(values), torchs(values), np.isnan(values)
    assert np.array_equal(mine[~nan], theirs[~nan])
    assert np.isnan(widen(mine)).tolist() == nan.tolist()


def test_every_rounding_is_torchs() -> None:
    same_but_for_nan(edges())


@given(arrays(np.uint32, st.integers(1, 70), elements=st.integers(0, 2**32 - 1)))
def test_any_bits_round_as_torch_rounds_them(bits: np.ndarray) -> None:
    same_but_for_nan(bits.view(np.float32))


def test_widening_is_exact_and_rounding_undoes_it() -> None:
    wide = widen(ALL_16_BITS)
    finite = ~np.isnan(wide)
    assert np.array_equal(to_bfloat16(wide)[finite], ALL_16_BITS[finite])
    for dtype, mine in ((torch.bfloat16, wide), (torch.float16, widen_half(ALL_16_BITS))):
        theirs = torch.from_numpy(ALL_16_BITS.view(np.int16).copy()).view(dtype).float().numpy()
        number = ~np.isnan(theirs)
        assert np.array_equal(mine.view(np.uint32)[number], theirs.view(np.uint32)[number])
        assert np.isnan(mine).tolist() == (~number).tolist()


def test_shapes_are_kept() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::2]
    assert to_bfloat16(values).shape == widen(to_bfloat16(values)).shape == values.shape
    assert np.array_equal(widen(to_bfloat16(values)), values)
    assert to_bfloat16(np.float32([[]])).shape == (1, 0)


@pytest.mark.parametrize(
    ("out", "width", "rank"), [(1, 1, 1), (70, 300, 8), (3, 70_000, 2), (700, 257, 16), (5, 7, 64)]
)
def test_the_merge_is_the_trainers(out: int, width: int, rank: int) -> None:
    stream = np.random.default_rng(out + width)
    for scale, size in itertools.product((2.0, 1 / 3, 0.1), (1.0, 1e-20, 1e-30)):
        weight = widen(to_bfloat16(stream.standard_normal((out, width), np.float32)))
        low, high = (
            stream.standard_normal(shape, np.float32) * np.float32(size) for shape in ((rank, width), (out, rank))
        )
        theirs = trainers_merge(*map(torch.from_numpy, (weight, low, high)), scale).numpy()
        mine = merge_pair(weight, low, high, scale)
        assert mine.tobytes() == theirs.tobytes()
        assert np.allclose(mine, weight + (high.astype(np.float64) @ low) * scale, atol=1e-4)


def test_each_operation_is_rounded_by_itself() -> None:
    """A fused multiply-add would keep 2^-24 here: (1 + 2^-12)² = 1 + 2^-11 + 2^-24 is a tie that rounds to even."""
    one = np.float32(1 + 2**-12)
    merged = merge_pair(np.float32([[0]]), np.float32([[-1 - 2**-11], [one]]), np.float32([[1, one]]), 1.0)
    assert merged.tolist() == [[0.0]]

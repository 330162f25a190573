"""The C kernels against PyTorch's operators, on the same tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.errors import PreflightError
from r1node.kernels.build import library
from r1node.kernels.native import NativeOps
from r1node.kernels.ops import TorchOps, step_ops
from r1node.kernels.rows import Rows

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=["fp32", "bf16"])


def close(a: torch.Tensor, b: torch.Tensor, dtype: torch.dtype) -> None:
    torch.testing.assert_close(a.float(), b.float(), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape).to(dtype)


@DTYPES
@pytest.mark.parametrize("rows", [1, 9, 40])
def test_add_norm(dtype: torch.dtype, rows: int) -> None:
    torch.manual_seed(0)
    x, delta, weight = random(rows, 50), random(rows, 50, dtype=dtype), random(50, dtype=dtype)
    for addend in (None, delta):
        ours, theirs = x.clone(), x.clone()
        close(
            NativeOps(dtype).add_norm(ours, addend, weight, 1e-5),
            TorchOps().add_norm(theirs, addend, weight, 1e-5),
            dtype,
        )
        close(ours, theirs, torch.float32)


@DTYPES
def test_gate(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    gate_up = random(11, 2 * 37, dtype=dtype) * 20
    close(NativeOps(dtype).gate(gate_up), TorchOps().gate(gate_up), dtype)


@settings(deadline=None, max_examples=60)
@given(
    dtype=st.sampled_from(list(TOLERANCE)),
    size=st.sampled_from([16, 48, 64, 128]),
    kv_heads=st.integers(1, 3),
    repeat=st.integers(1, 9),
    rows=st.integers(1, 20),
    normed=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_a_step_of_attention(
    dtype: torch.dtype, size: int, kv_heads: int, repeat: int, rows: int, normed: bool, seed: int
) -> None:
    """Rotation, storing, attention: rows at different places of different slots, prompts of different lengths."""
    torch.manual_seed(seed)
    heads, width, room, slots, prompts = kv_heads * repeat, 13, 9, rows + 2, 3
    mixed = random(rows, (heads + 2 * kv_heads) * size, dtype=dtype)
    turn = torch.rand(rows, size // 2) * 7
    norms = (random(size, dtype=dtype), random(size, dtype=dtype)) if normed else (None, None)
    prompt = (random(prompts, kv_heads, width, size, dtype=dtype), random(prompts, kv_heads, width, size, dtype=dtype))
    lengths = torch.randint(1, width + 1, (prompts,))
    suffix = (random(slots, kv_heads, room, size, dtype=dtype), random(slots, kv_heads, room, size, dtype=dtype))
    places = Rows(torch.randperm(slots)[:rows], torch.randint(0, prompts, (rows,)), torch.randint(0, room, (rows,)))
    outcomes = []
    for ops in (NativeOps(dtype), TorchOps()):
        q, stored = mixed.clone(), (suffix[0].clone(), suffix[1].clone())
        ops.rotate_store(q, (turn.cos(), turn.sin()), norms, (stored, places), kv_heads, 1e-6)
        outcomes.append((q, *stored, ops.attend(q, prompt, lengths, stored, places)))
    for ours, theirs in zip(*outcomes, strict=True):
        close(ours, theirs, dtype)


@DTYPES
@pytest.mark.parametrize("vocabulary", [128, 61, 1000])
def test_block_sums(dtype: torch.dtype, vocabulary: int) -> None:
    torch.manual_seed(0)
    logits = random(5, vocabulary, dtype=dtype) * 30
    for ours, theirs in zip(
        NativeOps(dtype).block_sums(logits, 128, 0.7), TorchOps().block_sums(logits, 128, 0.7), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


def test_tensors_that_lie_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        NativeOps(torch.float32).gate(torch.zeros(4, 8).T)


def test_without_a_compiler_it_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    library.cache_clear()
    try:
        with pytest.raises(PreflightError, match="no-such-compiler"):
            library("fp32")
        assert isinstance(step_ops("cpu", torch.float32, 64), TorchOps)
    finally:
        library.cache_clear()
    assert "no-such-compiler" in caplog.text

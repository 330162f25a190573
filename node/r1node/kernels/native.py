"""The steps of a decoding layer in C (decode.c), on CPU tensors. See `ops.py` for what each of them does."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from r1node.kernels.build import library
from r1node.kernels.rows import Rows

LANES = 16
"""Head sizes must be multiples of it: the width of a vector in number.h."""

_NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32"}
_POINTER, _COUNT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class NativeOps:
    """Implements `StepOps` for one precision. Raises PreflightError when the kernels cannot be compiled here."""

    def __init__(self, dtype: torch.dtype) -> None:
        name = _NAMES[dtype]
        loaded = library(name)

        def take(kernel: str, pointers: int, counts: int, floats: int, returns: Any = None) -> Callable[..., Any]:
            function = getattr(loaded, f"r1_{kernel}_{name}")
            function.argtypes = [_POINTER] * pointers + [_COUNT] * counts + [_FLOAT] * floats
            function.restype = returns
            return function  # type: ignore[no-any-return]

        self._dtype = dtype
        self._add_norm = take("add_norm", 4, 2, 1)
        self._rotate_store = take("rotate_store", 9, 5, 1)
        self._attend = take("attend", 10, 6, 1, ctypes.c_int)
        self._gate = take("gate", 2, 2, 0)
        self._block_sums = take("block_sums", 3, 3, 1)

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """See `StepOps.add_norm`."""
        out = torch.empty(x.shape, dtype=self._dtype)
        self._add_norm(_at(x), _at(delta), _at(weight), _at(out), x.shape[0], x.shape[1], eps)
        return out

    def rotate_store(
        self,
        mixed: Tensor,
        angles: tuple[Tensor, Tensor],
        norms: tuple[Tensor | None, Tensor | None],
        suffix: tuple[Tensor, Tensor],
        rows: Rows,
        eps: float,
    ) -> None:
        """See `StepOps.rotate_store`."""
        *_, kv_heads, room, size = suffix[0].shape
        heads = mixed.shape[1] // size - 2 * kv_heads
        self._rotate_store(
            *(_at(mixed), _at(angles[0]), _at(angles[1]), _at(norms[0]), _at(norms[1]), _at(suffix[0]), _at(suffix[1])),
            *(_at(rows.slots), _at(rows.t), mixed.shape[0], heads, kv_heads, size, room, eps),
        )

    def attend(
        self, mixed: Tensor, prompt: tuple[Tensor, Tensor], lengths: Tensor, suffix: tuple[Tensor, Tensor], rows: Rows
    ) -> Tensor:
        """See `StepOps.attend`."""
        _, kv_heads, width, size = prompt[0].shape
        count, room = mixed.shape[0], suffix[0].shape[-2]
        heads = mixed.shape[1] // size - 2 * kv_heads
        out = torch.empty(count, heads * size, dtype=self._dtype)
        failed = self._attend(
            *(_at(mixed), _at(prompt[0]), _at(prompt[1]), _at(lengths), _at(rows.prompts), _at(suffix[0])),
            *(_at(suffix[1]), _at(rows.slots), _at(rows.t), _at(out)),
            *(count, heads, kv_heads, size, width, room, size**-0.5),
        )
        if failed:
            raise MemoryError("no memory for attention scores")
        return out

    def gate(self, gate_up: Tensor) -> Tensor:
        """See `StepOps.gate`."""
        rows, width = gate_up.shape
        out = torch.empty(rows, width // 2, dtype=self._dtype)
        self._gate(_at(gate_up), _at(out), rows, width // 2)
        return out

    def block_sums(self, logits: Tensor, block: int, scale: float) -> tuple[Tensor, Tensor]:
        """See `StepOps.block_sums`."""
        rows, width = logits.shape
        maxima, sums = torch.empty(2, rows, -(-width // block))
        self._block_sums(_at(logits), _at(maxima), _at(sums), rows, width, block, scale)
        return maxima, sums


def _at(tensor: Tensor | None) -> int | None:
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError("the kernels take contiguous tensors")
    return tensor.data_ptr()

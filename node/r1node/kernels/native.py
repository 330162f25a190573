"""The steps of a decoding layer in C (decode.c), on CPU tensors. See `ops.py` for what each of them does."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from r1node.kernels.build import library
from r1node.kernels.rows import HeadNorms, Rows, Store

LANES = 16
"""Head sizes must be multiples of it: the width of a vector in number.h."""

_NAMES = {torch.bfloat16: "bf16", torch.float32: "fp32"}
_POINTER, _COUNT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float


class Kernels:
    """The compiled functions for one precision. Raises PreflightError when they cannot be compiled here."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._name = _NAMES[dtype]
        self._library = library(self._name)

    def take(self, kernel: str, pointers: int, counts: int, floats: int, returns: Any = None) -> Callable[..., Any]:
        """The function `kernel`, whose arguments are so many pointers, then int64, then floats."""
        function = getattr(self._library, f"r1_{kernel}_{self._name}")
        function.argtypes = [_POINTER] * pointers + [_COUNT] * counts + [_FLOAT] * floats
        function.restype = returns
        return function  # type: ignore[no-any-return]


class NativeOps:
    """Implements `StepOps` for one precision. Raises PreflightError when the kernels cannot be compiled here."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._kernels = kernels = Kernels(dtype)
        self._dtype = dtype
        self._add_norm = kernels.take("add_norm", 4, 2, 1)
        self._rotate_store = kernels.take("rotate_store", 9, 5, 1)
        self._attend = kernels.take("attend", 10, 6, 1, ctypes.c_int)
        self._gate = kernels.take("gate", 2, 2, 0)
        self._block_sums = kernels.take("block_sums", 3, 3, 1)

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """See `StepOps.add_norm`."""
        out = torch.empty(x.shape, dtype=self._dtype)
        self._add_norm(address(x), address(delta), address(weight), address(out), x.shape[0], x.shape[1], eps)
        return out

    def rotate_store(
        self,
        mixed: Tensor,
        angles: tuple[Tensor, Tensor],
        norms: HeadNorms,
        store: Store | None,
        kv_heads: int,
        eps: float,
    ) -> None:
        """See `StepOps.rotate_store`."""
        size = 2 * angles[0].shape[1]
        heads = mixed.shape[1] // size - 2 * kv_heads
        places: list[int | None] = [None] * 4
        room = 0
        if store is not None:
            (keys, values), rows = store
            places, room = [address(x) for x in (keys, values, rows.slots, rows.t)], keys.shape[2]
        self._rotate_store(
            *(address(mixed), address(angles[0]), address(angles[1]), address(norms[0]), address(norms[1]), *places),
            *(len(mixed), heads, kv_heads, size, room, eps),
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
            *(
                address(mixed),
                address(prompt[0]),
                address(prompt[1]),
                address(lengths),
                address(rows.prompts),
                address(suffix[0]),
            ),
            *(address(suffix[1]), address(rows.slots), address(rows.t), address(out)),
            *(count, heads, kv_heads, size, width, room, size**-0.5),
        )
        if failed:
            raise MemoryError("no memory for attention scores")
        return out

    def gate(self, gate_up: Tensor) -> Tensor:
        """See `StepOps.gate`."""
        rows, width = gate_up.shape
        out = torch.empty(rows, width // 2, dtype=self._dtype)
        self._gate(address(gate_up), address(out), rows, width // 2)
        return out

    def block_sums(self, logits: Tensor, block: int, scale: float) -> tuple[Tensor, Tensor]:
        """See `StepOps.block_sums`."""
        rows, width = logits.shape
        maxima, sums = torch.empty(2, rows, -(-width // block))
        self._block_sums(address(logits), address(maxima), address(sums), rows, width, block, scale)
        return maxima, sums


def address(tensor: Tensor | None) -> int | None:
    """Where a contiguous tensor's values lie. Raises ValueError for any other."""
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError("the kernels take contiguous tensors")
    return tensor.data_ptr()

"""Tensors out of safetensors files and into one, a block at a time: a model of any size needs a block's memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1net.weights.header import LENGTH, METADATA, WIDTHS, StoredTensor
from r1net.weights.rounding import to_bfloat16, widen, widen_half
from r1net.whole import whole as written

BLOCK = 2**22
"""Values taken at a time."""
_ALIGNMENT = 8
"""Of the first tensor's bytes, as the safetensors library has it."""


@dataclass(frozen=True)
class NewTensor:
    """A tensor to write; `blocks` brings its bytes in order."""

    dtype: str
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[bytes]]


def values(tensor: StoredTensor, first: int, last: int) -> NDArray[np.float32]:
    """Its values `first` to `last`, row by row, widened to float32. Exact."""
    data = _read(tensor, first, last)
    if tensor.dtype == "F32":
        return np.frombuffer(data, "<f4")
    bits = np.frombuffer(data, "<u2")
    return widen(bits) if tensor.dtype == "BF16" else widen_half(bits)


def whole(tensor: StoredTensor) -> NDArray[np.float32]:
    """All its values in their shape, widened to float32."""
    return values(tensor, 0, prod(tensor.shape)).reshape(tensor.shape)


def encoded(block: NDArray[np.float32], dtype: str) -> bytes:
    """float32 values as F32 or, rounded, as BF16."""
    return (block.astype("<f4") if dtype == "F32" else to_bfloat16(block).astype("<u2")).tobytes()


def copied(tensor: StoredTensor) -> NewTensor:
    """The same tensor, byte for byte."""
    return NewTensor(tensor.dtype, tensor.shape, lambda: (_read(tensor, *block) for block in _blocks(tensor)))


def cast(tensor: StoredTensor, dtype: str) -> NewTensor:
    """The tensor in another precision: widened, then rounded once."""
    return NewTensor(dtype, tensor.shape, lambda: (encoded(values(tensor, *block), dtype) for block in _blocks(tensor)))


def write_tensors(target: Path, tensors: Mapping[str, NewTensor]) -> None:
    """Write a safetensors file, whole or not at all: the bytes that the safetensors library would write."""
    order = sorted(tensors, key=lambda name: (-WIDTHS[tensors[name].dtype], _RANKS[tensors[name].dtype], name.encode()))
    with written(target, sync=False) as file:
        file.write(_header({key: tensors[key] for key in order}))
        for key in order:
            file.writelines(tensors[key].blocks())


_RANKS = {"F32": 0, "BF16": 1, "F16": 2}
"""Which dtype comes first of those that are equally wide."""


def _header(tensors: Mapping[str, NewTensor]) -> bytes:
    entries: dict[str, Any] = {METADATA: {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + prod(tensor.shape) * WIDTHS[tensor.dtype]
        entries[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(LENGTH, "little") + text


def _blocks(tensor: StoredTensor) -> Iterator[tuple[int, int]]:
    count = prod(tensor.shape)
    return ((first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))


def _read(tensor: StoredTensor, first: int, last: int) -> bytes:
    width = WIDTHS[tensor.dtype]
    with tensor.path.open("rb") as file:
        file.seek(tensor.start + first * width)
        return file.read((last - first) * width)

"""What a safetensors file says that it holds, read without believing it.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the header's length n, little-endian; n bytes of a
JSON object, name -> dtype, shape, data_offsets; then the tensors without holes and without overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1net.errors import UsageError
from r1net.protocol.model_files import bounded_json
from r1net.protocol.weight_files import SAVE_AGAIN

LENGTH = 8
MOST_HEADER_BYTES = 32 * 2**20
"""The format allows 100 MB; so much describes two hundred thousand tensors."""
METADATA = "__metadata__"
WIDTHS = {"F32": 4, "BF16": 2, "F16": 2}
"""Bytes of a value, by the dtypes that weights may have."""

_MOST_DIMENSIONS = 8
_MOST_NUMBER = 2**48
_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's bytes are: from `start` to `end` of the file."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, in the order of their bytes. Raises UsageError when it is none, or holds
    anything but F32, BF16 and F16."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if size < LENGTH or length > size - LENGTH:
            raise UsageError(f"{path.name} is no safetensors file, or only a part of one", hint="download it again")
        if length > MOST_HEADER_BYTES:
            raise UsageError(f"{path.name} has a header of {length} bytes; at most {MOST_HEADER_BYTES} are read")
        header = file.read(length)
    if not header.startswith(b"{"):
        raise UsageError(f"{path.name} is no safetensors file", hint=SAVE_AGAIN)
    entries = bounded_json(header, path.name, MOST_HEADER_BYTES)
    _check_metadata(entries.pop(METADATA, {}), path.name)
    base = LENGTH + length
    tensors = {name: _tensor(path, base, name, entry) for name, entry in entries.items()}
    return _without_holes(tensors, base, size, path.name)


def _check_metadata(metadata: Any, file: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UsageError(f"{file}: {METADATA} is not a table of texts")


def _tensor(path: Path, base: int, name: str, entry: Any) -> StoredTensor:
    where = f"{path.name}: tensor {name[:100]!r}"
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise UsageError(f"{where} is not described by {', '.join(sorted(_KEYS))}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise UsageError(
            f"{where} is of type {str(dtype)[:20]!r}; weights are {', '.join(WIDTHS)}",
            hint="take the original model, not a quantised one",
        )
    if not _whole_numbers(shape, _MOST_DIMENSIONS) or not (_whole_numbers(offsets, 2) and len(offsets) == 2):
        raise UsageError(f"{where} has a shape or offsets that are none")
    if math.prod(shape) * WIDTHS[dtype] != offsets[1] - offsets[0]:
        raise UsageError(f"{where}: its shape and its bytes do not agree")
    return StoredTensor(path, dtype, tuple(shape), base + offsets[0], base + offsets[1])


def _whole_numbers(value: Any, most: int) -> bool:
    """Whether it is a list of at most so many whole numbers, none of them huge."""
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(number) is int and 0 <= number <= _MOST_NUMBER for number in value)
    )


def _without_holes(tensors: Mapping[str, StoredTensor], base: int, size: int, file: str) -> dict[str, StoredTensor]:
    """In the order of their bytes. Raises UsageError unless they fill the file from `base` to its end."""
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))
    reached = base
    for name, tensor in ordered.items():
        if tensor.start != reached:
            raise UsageError(f"{file}: there is a hole or an overlap before tensor {name[:100]!r}")
        reached = tensor.end
    if reached != size:
        raise UsageError(f"{file}: its tensors end at byte {reached}, the file at {size}", hint="download it again")
    return ordered

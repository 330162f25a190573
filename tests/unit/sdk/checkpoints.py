"""Weight files made by hand: a header and the bytes behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import ModelRef
from r1net.protocol.weight_files import INDEX

WIDTH = {"F32": 4, "BF16": 2, "F16": 2, "I64": 8, "F8_E4M3": 1}


def entry(dtype: str, shape: list[int], begin: int) -> dict[str, Any]:
    """A tensor's description, its bytes from `begin`."""
    size = WIDTH[dtype]
    for length in shape:
        size *= length
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}


def file_of(header: Mapping[str, Any] | bytes, data: int) -> bytes:
    """A file with that header and so many bytes of zeros behind it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def vectors(*names: str) -> bytes:
    """A file with a bfloat16 vector of two values for each name."""
    return file_of({name: entry("BF16", [2], 4 * n) for n, name in enumerate(names)}, 4 * len(names))


def shard(number: int, total: int) -> str:
    """The name of a shard."""
    return f"model-{number:05d}-of-{total:05d}.safetensors"


def index_of(places: Mapping[str, Any]) -> bytes:
    """An index file."""
    return json.dumps({"metadata": {"total_size": 8}, "weight_map": places}).encode()


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A model folder: these files beside a configuration and a tokenizer."""
    folder.mkdir(exist_ok=True)
    for name, data in ({"config.json": b"{}", "tokenizer.json": b"{}"} | dict(files)).items():
        (folder / name).write_bytes(data)
    return folder


def two_shards() -> dict[str, bytes]:
    """Three tensors in two shards."""
    first, second = shard(1, 2), shard(2, 2)
    return {
        INDEX: index_of({"a": first, "b": second, "c": first}),
        first: vectors("a", "c"),
        second: vectors("b"),
    }


def unchecked(files: Mapping[str, bytes]) -> ModelRef:
    """What a submitter who doesn't look says of these files."""
    return ModelRef(
        name="unchecked", files={name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
    )

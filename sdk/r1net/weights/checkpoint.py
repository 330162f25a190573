"""All tensors of a model's weight files, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1net.errors import UsageError
from r1net.protocol.weight_files import INDEX, MOST_INDEX_BYTES, SINGLE, check_index, weights_in
from r1net.weights.header import StoredTensor, read_header


def read_checkpoint(folder: Path, weights: Sequence[str]) -> dict[str, StoredTensor]:
    """Where every tensor is: `weights` are the folder's safetensors files.

    Raises UsageError when a file is damaged, a tensor comes twice, or the index and the shards disagree.
    """
    if not weights or SINGLE in weights:
        found = read_header(folder / SINGLE)
        if not found:
            raise UsageError(f"{SINGLE} holds no tensors")
        return found
    places = check_index(read_index(folder), weights)
    tensors: dict[str, StoredTensor] = {}
    for shard in weights:
        for name, tensor in read_header(folder / shard).items():
            if name in tensors:
                raise UsageError(f"tensor {name[:100]!r} is in both {tensors[name].path.name} and {shard}")
            if places.get(name) != shard:
                raise UsageError(f"{shard} holds tensor {name[:100]!r}, which {INDEX} does not say")
            tensors[name] = tensor
    absent = next((name for name in places if name not in tensors), None)
    if absent is not None:
        raise UsageError(f"{INDEX} names tensor {absent[:100]!r}, which {places[absent]} does not hold")
    return tensors


def open_checkpoint(folder: Path) -> dict[str, StoredTensor]:
    """Where every tensor of a model's folder is. Raises UsageError as `read_checkpoint` does."""
    names = {path.name for path in folder.iterdir() if path.is_file()}
    return read_checkpoint(folder, weights_in(names, read_index(folder) if INDEX in names else None))


def read_index(folder: Path) -> bytes:
    """The index, of bounded size. Raises UsageError."""
    path = folder / INDEX
    if path.stat().st_size > MOST_INDEX_BYTES:
        raise UsageError(f"{INDEX} has more than {MOST_INDEX_BYTES} bytes")
    return path.read_bytes()

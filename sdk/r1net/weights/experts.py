"""The names under which checkpoints keep a mixture's experts: one matrix each, where transformers computes with all of
a layer's stacked. Other programs read checkpoints by these names, and the job's own model has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from r1net.errors import UsageError
from r1net.weights.header import StoredTensor

_STACKED_DIMENSIONS = 3


@dataclass(frozen=True)
class _Layout:
    """A checkpoint's name for a layer's mixture, and for the three matrices of an expert."""

    block: str
    gate: str
    up: str
    down: str


_PLAIN = _Layout("mlp", "gate_proj", "up_proj", "down_proj")
_LAYOUTS = {"qwen3_moe": _PLAIN, "glm4_moe": _PLAIN, "mixtral": _Layout("block_sparse_moe", "w1", "w3", "w2")}


def as_checkpoint(tensors: Mapping[str, StoredTensor], model_type: str) -> dict[str, StoredTensor]:
    """A version's tensors under a checkpoint's names; each expert's are a part of the same bytes. Raises UsageError."""
    layout = _LAYOUTS.get(model_type)
    if layout is None:
        return dict(tensors)
    return {key: part for name, tensor in tensors.items() for key, part in _renamed(name, tensor, layout)}


def _renamed(name: str, tensor: StoredTensor, layout: _Layout) -> Iterator[tuple[str, StoredTensor]]:
    layer, found, leaf = name.partition(".mlp.")
    block = f"{layer}.{layout.block}"
    if leaf == "experts.gate_up_proj":
        for number, expert in enumerate(_unstacked(name, tensor)):
            gate, up = _halves(name, expert)
            yield f"{block}.experts.{number}.{layout.gate}.weight", gate
            yield f"{block}.experts.{number}.{layout.up}.weight", up
    elif leaf == "experts.down_proj":
        for number, expert in enumerate(_unstacked(name, tensor)):
            yield f"{block}.experts.{number}.{layout.down}.weight", expert
    else:
        yield f"{block}.{leaf}" if found else name, tensor


def _unstacked(name: str, tensor: StoredTensor) -> list[StoredTensor]:
    if len(tensor.shape) != _STACKED_DIMENSIONS:
        raise UsageError(f"{name} is no stack of experts")
    return _equal_parts(tensor, tensor.shape[0], tensor.shape[1:])


def _halves(name: str, tensor: StoredTensor) -> list[StoredTensor]:
    rows, width = tensor.shape
    if rows % 2:
        raise UsageError(f"{name} is no stack of pairs")
    return _equal_parts(tensor, 2, (rows // 2, width))


def _equal_parts(tensor: StoredTensor, count: int, shape: tuple[int, ...]) -> list[StoredTensor]:
    """Parts that lie one behind the other."""
    step = (tensor.end - tensor.start) // max(count, 1)
    starts = (tensor.start + number * step for number in range(count))
    return [replace(tensor, shape=shape, start=start, end=start + step) for start in starts]

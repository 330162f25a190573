"""The weights that a version is sampled from, out of its file: in the job's precision, an adapter merged.

A version's file holds what is trained, in float32: all weights, with the buffers that the model needs beside them, or
an adapter in PEFT's layout. The trainer's `TrainablePolicy.merged` comes to the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from r1net.errors import UsageError
from r1net.protocol.job import Precision
from r1net.weights.header import StoredTensor
from r1net.weights.merge import merge_pair
from r1net.weights.peft_names import LOW, PREFIX, pair
from r1net.weights.rounding import to_bfloat16, widen
from r1net.weights.stored import BLOCK, NewTensor, cast, copied, encoded, values, whole

BUFFERS = ("e_score_correction_bias",)
"""Last parts of names of what a checkpoint holds beside parameters (a router's bias, arXiv:2408.15664). It is never
trained, and keeps its precision. A test holds this against every family that is supported."""

_DTYPES: dict[Precision, str] = {"bfloat16": "BF16", "float32": "F32"}


def sampled(tensors: Mapping[str, StoredTensor], precision: Precision) -> dict[str, NewTensor]:
    """A model's tensors in the precision of the job; buffers as they are."""
    return {
        name: copied(tensor) if is_buffer(name) else cast(tensor, _DTYPES[precision])
        for name, tensor in tensors.items()
    }


def merged(
    base: Mapping[str, StoredTensor], adapter: Mapping[str, StoredTensor], scale: float, precision: Precision
) -> dict[str, NewTensor]:
    """The base model with the adapter merged into it (`merge_pair`, scale = α / rank), in the precision of the job.

    Raises UsageError when the adapter is not one of this model.
    """
    found = sampled(base, precision)
    for layer, (low, high) in pairs(adapter).items():
        names = (f"{layer}.weight", f"{layer.removeprefix('model.')}.weight")  # of a checkpoint without a head
        name = next((name for name in names if name in base), names[0])
        weight = base.get(name)
        if weight is None or weight.shape != (*high.shape[:1], *low.shape[1:]):
            raise UsageError(f"the adapter changes {layer!r}, and the base model has no such layer of that shape")
        found[name] = _merged(weight, low, high, scale, precision)
    return found


def is_buffer(name: str) -> bool:
    """Whether a tensor of a checkpoint is no parameter."""
    return name.rsplit(".", 1)[-1] in BUFFERS


def pairs(adapter: Mapping[str, StoredTensor]) -> dict[str, tuple[StoredTensor, StoredTensor]]:
    """A (rank, in) and B (out, rank) of every layer that an adapter changes. Raises UsageError."""
    layers = sorted(name.removeprefix(PREFIX).removesuffix(LOW) for name in adapter if name.endswith(LOW))
    names = {layer: pair(layer) for layer in layers}
    if not layers or {name for both in names.values() for name in both} != adapter.keys():
        raise UsageError("the version's file is no adapter in PEFT's layout")
    found = {layer: (adapter[low], adapter[high]) for layer, (low, high) in names.items()}
    for layer, (low, high) in found.items():
        if len(low.shape) != 2 or len(high.shape) != 2 or low.shape[0] != high.shape[1]:
            raise UsageError(f"the adapter's matrices of {layer!r} don't fit each other")
    return found


def _merged(
    weight: StoredTensor, low: StoredTensor, high: StoredTensor, scale: float, precision: Precision
) -> NewTensor:
    dtype, (out, width) = _DTYPES[precision], weight.shape

    def blocks() -> Iterator[bytes]:
        first, second = whole(low), whole(high)
        rows = max(1, BLOCK // width)
        for start in range(0, out, rows):
            stop = min(start + rows, out)
            part = values(weight, start * width, stop * width)
            if dtype == "BF16":
                part = widen(to_bfloat16(part))
            block = merge_pair(part.reshape(stop - start, width), first, second[start:stop], scale)
            yield encoded(block, dtype)

    return NewTensor(dtype, weight.shape, blocks)

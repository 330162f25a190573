"""Whether a model computes with the weights it was told to take.

vLLM packs weights for its kernels and drops the originals, so that an update which misses a packed copy leaves a model
that is partly the old one. Asking each layer is the only check that sees that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 4e-3}
"""Of the answer's norm: several times the rounding of the precision, far below any other set of weights."""

EMBEDDING = "model.embed_tokens.weight"


ROWS = 64
"""Of each tensor that are held against the file: an update that was missed was missed for all of them."""


def disagreements(model: Any, folder: str) -> list[str]:
    """Ask every linear layer, embedding and norm of `model` with a random vector, and hold the answers against
    model.safetensors of `folder`. Returns the names of layers that answer otherwise.

    Knows dense models on one device; layers whose tensors it doesn't find in the file are passed over.
    """
    packed = getattr(model, "packed_modules_mapping", {})
    wrong = []
    with safe_open(str(Path(folder) / "model.safetensors"), framework="pt") as file, torch.no_grad():
        names = set(file.keys())
        for name, module in model.named_modules():
            sources = _sources(name, packed)
            if name == "lm_head" and not names.issuperset(sources):
                sources = [EMBEDDING]  # tied
            if names.issuperset(sources) and not _agrees(module, [file.get_slice(source) for source in sources]):
                wrong.append(name)
    return wrong


def _sources(name: str, packed: dict[str, list[str]]) -> list[str]:
    """The file's tensors that make up a module's weight: vLLM fuses some layers."""
    parent, _, leaf = name.rpartition(".")
    return [f"{parent}.{part}.weight".lstrip(".") for part in packed.get(leaf, [leaf])]


def _agrees(module: Any, parts: list[Any]) -> bool:
    """Whether a module answers as the file's `parts`, one below the other, say."""
    start, held = 0, getattr(module, "weight", None)
    answer = probe = None
    if hasattr(module, "quant_method") and len(parts[0].get_shape()) == 2:
        probe = _probe(parts[0].get_shape()[1], held)
        answer = module.quant_method.apply(module, probe, bias=None)[0].float()
    for part in parts:
        rows, end = part[:ROWS], start + part.get_shape()[0]
        if answer is not None and probe is not None:
            expected = (probe @ rows.to(probe.device, probe.dtype).t())[0].float()
            distance = (answer[start : start + len(rows)] - expected).norm() / expected.norm()
            if not bool(distance < TOLERANCE[probe.dtype]):
                return False
        if held is not None and held.shape[1:] == rows.shape[1:] and len(held) >= end:
            own = held[start : start + len(rows)]
            if not torch.equal(own, rows.to(own.device, own.dtype)):
                return False
        start = end
    return True


def _probe(width: int, held: Tensor | None) -> Tensor:
    probe = torch.randn(1, width, generator=torch.Generator().manual_seed(width))
    return probe if held is None else probe.to(held.device, held.dtype)

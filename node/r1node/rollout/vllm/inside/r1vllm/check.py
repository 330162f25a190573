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
            if not names.issuperset(sources):
                continue
            weights = torch.cat([file.get_tensor(source) for source in sources])
            if not _agrees(module, weights):
                wrong.append(name)
    return wrong


def _sources(name: str, packed: dict[str, list[str]]) -> list[str]:
    """The file's tensors that make up a module's weight: vLLM fuses some layers."""
    parent, _, leaf = name.rpartition(".")
    return [f"{parent}.{part}.weight".lstrip(".") for part in packed.get(leaf, [leaf])]


def _agrees(module: Any, weight: Tensor) -> bool:
    held = getattr(module, "weight", None)
    if hasattr(module, "quant_method") and weight.ndim == 2:
        device, dtype = (held.device, held.dtype) if held is not None else (weight.device, weight.dtype)
        generator = torch.Generator().manual_seed(weight.shape[1])
        probe = torch.randn(1, weight.shape[1], generator=generator).to(dtype).to(device)
        answer = module.quant_method.apply(module, probe, bias=None)
        expected = probe @ weight.to(device, dtype).t()
        distance = (answer[:, : expected.shape[1]].float() - expected.float()).norm() / expected.float().norm()
        if not bool(distance < TOLERANCE[dtype]):
            return False
    if held is not None and held.shape[:1] == weight.shape[:1] and held.ndim == weight.ndim:
        return torch.equal(held, weight.to(held.device, held.dtype))
    return True

"""The policy in training: a transformers model, its trainable tensors, and the files that name a version.

A version is two safetensors files: the trainable tensors in float32 (all weights, or the LoRA adapter in PEFT's
layout), and the optimizer's state. Equal tensors give equal bytes, so a file's SHA-256 is the version's digest. What is
sampled, trained on, replayed and served is one set of weights, `merged()`: the adapter merged, in the job's precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.weights.peft_names import pair
from r1node.models.adapters import adapted_layers
from r1node.models.checkpoint import load_module, persistent_buffers, with_weights
from r1node.models.plain import why_not_plain
from r1node.models.precision import TORCH
from r1node.training import exact
from r1node.training.blocks import BlockModel
from r1node.training.model import TrainingModel, TransformersModel
from r1node.training.source import Adapter, Source


class TrainablePolicy:
    """Base weights, with or without an adapter; `parameters` is what training changes, float32, in name order.

    Raises UsageError when the model isn't supported, its checkpoint isn't whole, or an adapter's target isn't there.
    """

    def __init__(self, spec: JobSpec, model_dir: Path, device: str = "cpu") -> None:
        self.lora, self.precision = spec.lora, TORCH[spec.dtype]
        self._model_dir, self._device = model_dir, device
        self.module: Any = load_module(model_dir, self.precision if self.lora else torch.float32, device)
        self.config: Any = self.module.config
        self.module.requires_grad_(False)
        self._weights = {name: p.detach() for name, p in self.module.named_parameters()}
        self._buffers = persistent_buffers(self.module)
        self.why_not_plain = why_not_plain(self.config, self._weights.keys() | self._buffers.keys())
        self._adapted = sorted(adapted_layers(self.module, self.lora)) if self.lora else []
        self.parameters: dict[str, Tensor] = dict(sorted(self._trained(spec.seed)))

    def _trained(self, seed: int) -> Iterator[tuple[str, Tensor]]:
        if self.lora is None:
            yield from self._weights.items()
        for layer in self._adapted:
            (out, width), (low, high) = self._weights[f"{layer}.weight"].shape, pair(layer)
            assert self.lora is not None
            yield low, exact.first_adapter(seed, low, self.lora.rank, width).to(self._device)
            yield high, torch.zeros(out, self.lora.rank, device=self._device)

    def assemble(self, dtype: torch.dtype, temperature: float) -> TrainingModel:
        """The policy as it is now, to compute gradients with. They are added to the parameters' `.grad`."""
        return self._model(self._source(dtype), dtype, temperature)

    def assemble_reference(self, dtype: torch.dtype, temperature: float) -> TrainingModel:
        """The job's model as it was before training. With an adapter it is the same weights; else a second copy."""
        weights = self._weights if self.lora else self._first_weights
        return self._model(Source(weights.__getitem__, weights.__contains__, {}, {}), dtype, temperature)

    def _model(self, source: Source, dtype: torch.dtype, temperature: float) -> TrainingModel:
        if self.why_not_plain is None:
            return BlockModel(self.config, source, dtype, self._device, temperature)
        return TransformersModel(with_weights(self.module, source.weight, dtype), source, self._device, temperature)

    def computing_copy(self, dtype: torch.dtype) -> Any:
        """The transformers model with the version's sampled weights, in the precision of the products."""
        return with_weights(self.module, self.weight, dtype)

    @cached_property
    def _first_weights(self) -> dict[str, Tensor]:
        module = load_module(self._model_dir, self.precision, self._device)
        return {name: p.detach() for name, p in module.named_parameters()}

    def _source(self, dtype: torch.dtype) -> Source:
        gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        if self.lora is None:
            return Source(self.weight, self._weights.__contains__, gradients, {})
        adapters = {}
        for layer in self._adapted:
            low, high = pair(layer)
            pair_now = [self.parameters[name].to(dtype) for name in (low, high)]
            adapters[layer] = Adapter(pair_now[0], pair_now[1], gradients[low], gradients[high], self.lora.scale)
        return Source(self.weight, self._weights.__contains__, {}, adapters)

    def weight(self, name: str) -> Tensor:
        """One of the sampled weights, in the job's precision."""
        layer = name.removesuffix(".weight")
        low, high = pair(layer)
        if low not in self.parameters:
            return self._weights[name].to(self.precision)
        assert self.lora is not None
        base, pair_now = self._weights[name].float(), (self.parameters[low], self.parameters[high])
        return exact.merge_pair(base, *pair_now, self.lora.scale).to(self.precision)

    def merged(self) -> dict[str, Tensor]:
        """What a version's completions are sampled from, under the model's own names, in the job's precision."""
        return {name: self.weight(name) for name in self._weights} | self._buffers

    def tensors(self) -> dict[str, Tensor]:
        """What a version's file holds, on the CPU: what is trained, and with full weights what else the model needs."""
        kept = {} if self.lora else self._buffers
        return {name: tensor.to("cpu").contiguous() for name, tensor in (self.parameters | kept).items()}

    def save(self) -> bytes:
        """The version as a safetensors file."""
        return bytes(save_safetensors(self.tensors(), metadata={"format": "pt"}))

    def load(self, data: bytes) -> None:
        """Take the tensors of a file written by `save`. Raises ValueError when they are not this policy's."""
        tensors = load_safetensors(data)
        own = self.tensors()
        if tensors.keys() != own.keys():
            raise ValueError("the file's tensors are not this policy's")
        for name, tensor in own.items():
            if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
                raise ValueError(f"{name}: {_kind(tensors[name])} is not {_kind(tensor)}")
            if name not in self.parameters and not torch.equal(tensors[name], tensor):
                raise ValueError(f"{name} is not trained, and is not the model's")
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[name])


def load_policy(spec: JobSpec, model_dir: Path, device: str = "cpu") -> TrainablePolicy:
    """The policy at version 0. Raises UsageError when the model's files are at fault, MemoryError when they're too big.

    What the library raises over a stranger's files is of any kind, and says nothing about this host.
    """
    try:
        return TrainablePolicy(spec, model_dir, device)
    except (MemoryError, torch.OutOfMemoryError, UsageError):
        raise
    except Exception as error:  # see above
        raise UsageError(f"the job's model can't be loaded: {type(error).__name__}: {error}"[:500]) from error


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"

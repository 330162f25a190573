"""The policy in training: a transformers model, its trainable tensors, and the files that name a version.

A version is two safetensors files: the trainable tensors (all weights in float32, or the LoRA adapter in PEFT's
layout), and the optimizer's state. Equal tensors give equal bytes, so a file's SHA-256 is the version's digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from r1net.errors import UsageError
from r1net.protocol.job import JobSpec, Lora
from r1net.protocol.seeds import derive_seed
from r1node.training.blocks import SUPPORTED, Adapter, BlockModel, Source
from r1node.training.model import TrainingModel, TransformersModel, packed_hidden

ADAPTER_PREFIX = "base_model.model."


class TrainablePolicy:
    """Base weights, with or without an adapter; `parameters` is what training changes, float32, in name order."""

    def __init__(self, spec: JobSpec, model_dir: Path, device: str = "cpu") -> None:
        self.lora: Lora | None = spec.lora
        self._model_dir, self._device = model_dir, device
        self.config: Any = AutoConfig.from_pretrained(model_dir)
        dtype = torch.bfloat16 if self.lora else torch.float32
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype, attn_implementation="sdpa").to(device)
        self._base: Any = model
        if self.lora:
            torch.manual_seed(derive_seed(spec.seed, "adapter"))
            model = peft.get_peft_model(model, _peft_config(self.lora))
        self.model: nn.Module = model
        self.parameters: dict[str, nn.Parameter] = dict(
            sorted((_saved_name(name), p) for name, p in model.named_parameters() if p.requires_grad)
        )

    def assemble(self, dtype: torch.dtype, temperature: float) -> TrainingModel:
        """The policy as it is now, to compute gradients with. They are added to the parameters' `.grad`."""
        if self.config.model_type in SUPPORTED:
            return BlockModel(self.config, self._source(dtype), dtype, self._device, temperature)
        return TransformersModel(self._base, dtype, self._device, temperature, self.config)

    def assemble_reference(self, dtype: torch.dtype, temperature: float) -> TrainingModel:
        """The job's model as it was before training. With an adapter it is the same weights; else a second copy."""
        if self.config.model_type in SUPPORTED:
            weights = self._base_weights if self.lora else self._first_weights
            source = Source(weights.__getitem__, weights.__contains__, {}, {})
            return BlockModel(self.config, source, dtype, self._device, temperature)
        if isinstance(self.model, peft.PeftModel):
            return TransformersModel(
                self._base, dtype, self._device, temperature, self.config, self.model.disable_adapter
            )
        return TransformersModel(self._first_model, dtype, self._device, temperature, self.config)

    @cached_property
    def _first_model(self) -> Any:
        frozen = AutoModelForCausalLM.from_pretrained(self._model_dir, dtype=torch.float32, attn_implementation="sdpa")
        return frozen.to(self._device).requires_grad_(False)

    @property
    def _first_weights(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._first_model.named_parameters()}

    @property
    def _base_weights(self) -> dict[str, Tensor]:
        """The weights below the adapter, or the policy's own, under the model's names."""
        return {
            name.replace(".base_layer.", "."): p.detach()
            for name, p in self._base.named_parameters()
            if ".lora_" not in name
        }

    def _source(self, dtype: torch.dtype) -> Source:
        base = self._base_weights
        if not self.lora:
            gradients = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
            return Source(base.__getitem__, base.__contains__, gradients, {})
        lora, adapters = self.lora, {}
        scale = lora.alpha / lora.rank
        for layer, low, high in self._pairs():
            assert low.grad is not None
            assert high.grad is not None
            adapters[layer] = Adapter(low.detach().to(dtype), high.detach().to(dtype), low.grad, high.grad, scale)
        pairs = {f"{layer}.weight": (low.detach(), high.detach()) for layer, low, high in self._pairs()}

        def weight(name: str) -> Tensor:
            return merge_pair(base[name], *pairs[name], scale, dtype) if name in pairs else base[name]

        return Source(weight, base.__contains__, {}, adapters)

    def _pairs(self) -> Iterator[tuple[str, nn.Parameter, nn.Parameter]]:
        """(layer, A, B) for each adapted layer."""
        for name, low in self.parameters.items():
            if name.endswith(".lora_A.weight"):
                layer = name.removeprefix(ADAPTER_PREFIX).removesuffix(".lora_A.weight")
                yield layer, low, self.parameters[name.replace(".lora_A.", ".lora_B.")]

    def hidden(self, ids_BL: Tensor, positions_BL: Tensor, attention_B1LL: Tensor) -> Tensor:
        """Final hidden states (B, L, E)."""
        return packed_hidden(self._base, ids_BL, positions_BL, attention_B1LL)

    def head(self, hidden: Tensor) -> Tensor:
        """(M, E) -> logits (M, V)."""
        return self._base.lm_head(hidden)  # type: ignore[no-any-return]

    def tensors(self) -> dict[str, Tensor]:
        """The trainable tensors, detached, on the CPU."""
        return {name: p.detach().to("cpu", torch.float32).contiguous() for name, p in self.parameters.items()}

    def save(self) -> bytes:
        """The trainable tensors as a safetensors file."""
        return bytes(save_safetensors(self.tensors(), metadata={"format": "pt"}))

    def load(self, data: bytes) -> None:
        """Take the tensors of a file written by `save`. Raises ValueError when names or shapes differ."""
        tensors = load_safetensors(data)
        if tensors.keys() != self.parameters.keys():
            raise ValueError("the file's tensors are not this policy's")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                if tensors[name].shape != parameter.shape:
                    raise ValueError(f"{name}: shape {tuple(tensors[name].shape)} is not {tuple(parameter.shape)}")
                parameter.copy_(tensors[name])

    def merged(self) -> dict[str, Tensor]:
        """Weights for a rollout engine, under the model's own names, the adapter added in."""
        weights = self._base_weights
        if self.lora:
            scale = self.lora.alpha / self.lora.rank
            for layer, low, high in self._pairs():
                name = f"{layer}.weight"
                weights[name] = merge_pair(weights[name], low.detach(), high.detach(), scale, weights[name].dtype)
        return weights


def merge_pair(weight: Tensor, low: Tensor, high: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """W + (alpha / rank) · B·A (arXiv:2106.09685, eq. 3), added in float32."""
    return (weight.float() + (high.float() @ low.float()).mul_(scale)).to(dtype)


def load_policy(spec: JobSpec, model_dir: Path, device: str = "cpu") -> TrainablePolicy:
    """The policy at version 0. Raises UsageError when the model's files are at fault, MemoryError when they're too big.

    What the library raises over a stranger's files is of any kind, and says nothing about this host.
    """
    try:
        return TrainablePolicy(spec, model_dir, device)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # see above
        raise UsageError(f"the job's model can't be loaded: {type(error).__name__}: {error}"[:500]) from error


def _peft_config(lora: Lora) -> Any:
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _saved_name(name: str) -> str:
    return name.replace(".default.", ".")

"""The policy in training: a transformers model, its trainable tensors, and the files that name a version.

A version is two safetensors files: the trainable tensors (all weights in float32, or the LoRA adapter in PEFT's
layout), and the optimizer's state. Equal tensors give equal bytes, so a file's SHA-256 is the version's digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from r1net.protocol.job import JobSpec, Lora
from r1net.protocol.seeds import derive_seed

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

    @cached_property
    def reference(self) -> Reference:
        """The job's model as it was before training. With an adapter it is the same weights; else a second copy."""
        if isinstance(self.model, peft.PeftModel):
            return Reference(self._base, self.model.disable_adapter)
        frozen = AutoModelForCausalLM.from_pretrained(self._model_dir, dtype=torch.float32, attn_implementation="sdpa")
        return Reference(frozen.to(self._device).requires_grad_(False), nullcontext)

    def hidden(self, ids_BL: Tensor, positions_BL: Tensor, attention_B1LL: Tensor) -> Tensor:
        """Final hidden states (B, L, E)."""
        return packed_hidden(self._base, ids_BL, positions_BL, attention_B1LL)

    def head(self, hidden: Tensor) -> Tensor:
        """(M, E) -> logits (M, V)."""
        return self._base.lm_head(hidden)  # type: ignore[no-any-return]

    @property
    def output_embedding(self) -> Tensor:
        """The last layer's weights (V, E)."""
        return self._base.lm_head.weight  # type: ignore[no-any-return]

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
        if not self.lora:
            return {name: p.detach() for name, p in self._base.named_parameters()}
        names = {
            name.replace(".base_layer.", "."): p.detach()
            for name, p in self._base.named_parameters()
            if ".lora_" not in name
        }
        return merge_adapter(names, self.tensors(), self.lora)


@dataclass(frozen=True)
class Reference:
    """A frozen policy to measure divergence from; `active` is entered around each use of the weights."""

    _base: Any
    _active: Callable[[], AbstractContextManager[None]]

    def hidden(self, ids_BL: Tensor, positions_BL: Tensor, attention_B1LL: Tensor) -> Tensor:
        """Final hidden states (B, L, E)."""
        with self._active():
            return packed_hidden(self._base, ids_BL, positions_BL, attention_B1LL)

    @property
    def output_embedding(self) -> Tensor:
        """The last layer's weights (V, E)."""
        return self._base.lm_head.weight  # type: ignore[no-any-return]


def packed_hidden(base: Any, ids_BL: Tensor, positions_BL: Tensor, attention_B1LL: Tensor) -> Tensor:
    """Final hidden states (B, L, E) of packed rows."""
    output = base.model(input_ids=ids_BL, position_ids=positions_BL, attention_mask=attention_B1LL, use_cache=False)
    return output.last_hidden_state  # type: ignore[no-any-return]


def merge_adapter(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], lora: Lora) -> dict[str, Tensor]:
    """W + (alpha / rank) · B·A for each adapted layer (arXiv:2106.09685, eq. 3), added in float32."""
    merged = dict(base)
    for name, low in adapter.items():
        if not name.endswith(".lora_A.weight"):
            continue
        layer = name.removeprefix(ADAPTER_PREFIX).removesuffix(".lora_A.weight")
        high = adapter[name.replace(".lora_A.", ".lora_B.")]
        weight = base[f"{layer}.weight"]
        delta = (high @ low).mul_(lora.alpha / lora.rank).to(weight.device)
        merged[f"{layer}.weight"] = (weight.float() + delta).to(weight.dtype)
    return merged


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

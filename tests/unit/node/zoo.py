"""A small random model of every family that is supported, with the settings that were once computed wrong, and of some
that are refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf

from tests.unit.node.models import SIZES, VOCABULARY, llama, qwen2, qwen3

_NO_HEAD_SIZE = {key: value for key, value in SIZES.items() if key != "head_dim"} | {"hidden_size": 96}
_ROPE = {"rope_theta": 10000.0, "factor": 4.0}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}


@dataclass(frozen=True)
class Exhibit:
    """`make` builds the model; prompts of `prompt` tokens are long enough for what it is about. `plain`: the built-in
    kernels compute it."""

    make: Callable[[], Any]
    prompt: int = 12
    plain: bool = False


def _of(name: str, sizes: dict[str, Any] = SIZES, config: str = "", **settings: Any) -> Callable[[], Any]:
    def make() -> Any:
        torch.manual_seed(0)
        found = getattr(hf, config or f"{name}Config")(**sizes | settings)
        return _unlike(getattr(hf, f"{name}ForCausalLM")(found).eval())

    return make


def _unlike(model: Any) -> Any:
    """Norms, biases and routers that matter: as they begin, leaving them out would change nothing."""
    generator = torch.Generator().manual_seed(1)
    trained = {id(p) for p in model.parameters()}
    for name, tensor in model.state_dict(keep_vars=True).items():
        with torch.no_grad():
            if name.endswith("bias"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.4)
            elif "norm" in name and id(tensor) in trained:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


def _rope(kind: str, **more: Any) -> dict[str, Any]:
    return {"rope_parameters": _ROPE | {"rope_type": kind} | more}


ZOO: dict[str, Exhibit] = {
    "llama, tied": Exhibit(llama, plain=True),
    "llama, untied": Exhibit(lambda: llama(tied=False), plain=True),
    "llama, biases": Exhibit(_of("Llama", attention_bias=True, mlp_bias=True), plain=True),
    "llama, linear rope": Exhibit(_of("Llama", **_rope("linear")), 60, plain=True),
    "llama, yarn": Exhibit(_of("Llama", **_rope("yarn", original_max_position_embeddings=32)), 60, plain=True),
    "llama 3 rope": Exhibit(
        _of(
            "Llama",
            **_rope("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32),
        ),
        60,
        plain=True,
    ),
    "llama, dynamic rope within": Exhibit(_of("Llama", **_rope("dynamic")), 60, plain=True),
    "llama, gelu": Exhibit(_of("Llama", hidden_act="gelu")),
    "llama, one key-value head": Exhibit(_of("Llama", num_key_value_heads=1), plain=True),
    "llama, heads of 20": Exhibit(_of("Llama", head_dim=20), plain=True),
    "mistral, no window": Exhibit(_of("Mistral", sliding_window=None), 40, plain=True),
    "mistral, window of 16": Exhibit(_of("Mistral", sliding_window=16), 60),
    "qwen2": Exhibit(qwen2, plain=True),
    "qwen2, window of 16": Exhibit(_of("Qwen2", use_sliding_window=True, sliding_window=16, max_window_layers=1), 60),
    "qwen3": Exhibit(qwen3, plain=True),
    "qwen3, window of 16": Exhibit(_of("Qwen3", use_sliding_window=True, sliding_window=16, max_window_layers=1), 60),
    "qwen3, yarn": Exhibit(_of("Qwen3", **_rope("yarn", original_max_position_embeddings=32)), 60, plain=True),
    "qwen3 moe": Exhibit(_of("Qwen3Moe", num_experts=4, mlp_only_layers=[], **_EXPERTS)),
    "mixtral": Exhibit(_of("Mixtral", num_local_experts=4, num_experts_per_tok=2)),
    "gemma": Exhibit(_of("Gemma")),
    "gemma 2, soft caps": Exhibit(
        _of("Gemma2", sliding_window=16, query_pre_attn_scalar=16, attn_logit_softcapping=5.0), 60
    ),
    "gemma 3": Exhibit(_of("Gemma3", config="Gemma3TextConfig", sliding_window=16, query_pre_attn_scalar=16), 60),
    "gemma 3, soft cap": Exhibit(
        _of("Gemma3", config="Gemma3TextConfig", query_pre_attn_scalar=16, final_logit_softcapping=3.0)
    ),
    "phi, biased head": Exhibit(_of("Phi", _NO_HEAD_SIZE)),
    "phi 3": Exhibit(_of("Phi3", _NO_HEAD_SIZE)),
    "phi 3, long rope within": Exhibit(
        _of(
            "Phi3",
            _NO_HEAD_SIZE,
            original_max_position_embeddings=96,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.5] * 8,
                "long_factor": [float(n + 1) for n in range(8)],
                "original_max_position_embeddings": 96,
            },
        ),
        60,
    ),
    "smollm 3": Exhibit(_of("SmolLM3", _NO_HEAD_SIZE, num_hidden_layers=4)),
    "olmo 2": Exhibit(_of("Olmo2", _NO_HEAD_SIZE)),
    "granite": Exhibit(
        _of("Granite", _NO_HEAD_SIZE, logits_scaling=8.0, residual_multiplier=0.5, embedding_multiplier=3.0)
    ),
    "cohere": Exhibit(_of("Cohere", _NO_HEAD_SIZE)),
    "ministral": Exhibit(_of("Ministral", sliding_window=16), 40),
    "starcoder 2, window of 16": Exhibit(
        _of("Starcoder2", _NO_HEAD_SIZE, sliding_window=16, residual_dropout=0.0, embedding_dropout=0.0), 60
    ),
    "stablelm": Exhibit(_of("StableLm", _NO_HEAD_SIZE)),
    "glm 4 moe, router bias": Exhibit(
        _of("Glm4Moe", n_routed_experts=4, first_k_dense_replace=1, n_shared_experts=1, **_EXPERTS)
    ),
}


def words(count: int, seed: int) -> list[int]:
    """Token ids, without the stop token."""
    drawn = random.Random(seed)
    return [drawn.randrange(2, VOCABULARY) for _ in range(count)]

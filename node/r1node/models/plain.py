"""What the built-in decoder and trainer compute: plain decoders of gated layers with rotary positions, full attention,
and nothing else. Whether a model is one is decided here, from its configuration and its parameters' names.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from r1net.protocol.architectures import FAMILIES

ACTIVATIONS = ("silu", "swish")

EMBEDDING, NORM, OUTPUT = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"

_LAYER = {
    *("input_layernorm.weight", "post_attention_layernorm.weight"),
    *(f"self_attn.{name}_proj.{part}" for name in "qkvo" for part in ("weight", "bias")),
    *(f"self_attn.{name}_norm.weight" for name in "qk"),
    *(f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")),
    *(f"mlp.{name}_proj.bias" for name in ("gate", "up", "down")),
}


def why_not_plain(config: Any, names: set[str]) -> str | None:
    """Why the built-in kernels would be wrong for a model with parameters of these names; None when they are right."""
    family = FAMILIES.get(config.model_type)
    if family is None or not family.plain:
        return f"{config.model_type} models have parts of their own"
    if config.hidden_act not in ACTIVATIONS:
        return f"its activation is {config.hidden_act}"
    window = _window(config)
    if window is not None and window < config.max_position_embeddings:
        return f"its attention slides over a window of {window} tokens"
    strange = sorted(name for name in names if not _is_known(name))
    if strange:
        return f"it has {strange[0]}"
    if 2 * rope(config, "cpu")[0].numel() != head_size(config):
        return "only a part of each head is rotated"
    return None


def head_size(config: Any) -> int:
    """Values of an attention head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _window(config: Any) -> int | None:
    kinds = getattr(config, "layer_types", None)
    window: int | None = getattr(config, "sliding_window", None)
    if kinds is not None and "sliding_attention" not in kinds:
        return None
    if not getattr(config, "use_sliding_window", True):
        return None
    return window


def _is_known(name: str) -> bool:
    if name in (EMBEDDING, NORM, OUTPUT):
        return True
    parts = name.split(".", 3)
    return parts[:2] == ["model", "layers"] and parts[-1] in _LAYER


def rope(config: Any, device: str) -> tuple[Tensor, float]:
    """Inverse frequencies (D/2) and scale as transformers computes them, whatever the RoPE variant."""
    rope = LlamaRotaryEmbedding(config)
    inverse_frequencies: Tensor = rope.inv_freq
    return inverse_frequencies.float().to(device), float(rope.attention_scaling)

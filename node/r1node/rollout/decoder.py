"""Wide-batch decoding for Llama-like models: one pass over the prompt for each group, then all groups in step.

Where the time goes on a CPU is in the matrix products and in memory traffic, so:
  - weights are copied out of the checkpoint once, fused (qkv, gate-up) and packed for oneDNN;
  - a prompt's keys and values are computed once for its group and never copied;
  - keys and values of the completions lie in one preallocated block;
  - finished rows leave the batch.

Shape letters: B groups, G rows of a group, P prompt length, T completion length, H heads, K key-value heads,
R = H / K, D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from r1net.errors import PreflightError

SUPPORTED = ("llama", "mistral", "qwen2")

Linear = Callable[[Tensor], Tensor]


def pack_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """`x @ weight.T + bias`, with the weight laid out for oneDNN where that helps (bf16 on CPU)."""
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and torch.backends.mkldnn.is_available():
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.clone())
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    own = weight.clone()
    return lambda x: F.linear(x, own, bias)


@dataclass
class Layer:
    """One transformer block's packed weights."""

    input_norm: Tensor
    qkv: Linear
    out: Linear
    post_norm: Tensor
    gate_up: Linear
    down: Linear


class Cache:
    """Keys and values: `prompt` (B, K, P, D) for each layer, `suffix` (B, G, K, T, D) for each layer."""

    def __init__(self) -> None:
        self.prompt: list[tuple[Tensor, Tensor]] = []
        self.suffix: list[tuple[Tensor, Tensor]] = []

    def select(self, groups: Tensor, rows: Tensor) -> None:
        """Keep `groups` (B',), and of each the rows `rows` (B', G')."""
        self.prompt = [(k[groups], v[groups]) for k, v in self.prompt]
        self.suffix = [(k[groups[:, None], rows], v[groups[:, None], rows]) for k, v in self.suffix]


class Decoder:
    """The model as a decoder. Built from Hugging Face weights; holds its own packed copy of them."""

    def __init__(self, config: Any, weights: Mapping[str, Tensor], dtype: torch.dtype, device: str) -> None:
        if config.model_type not in SUPPORTED:
            raise PreflightError(
                f"the built-in engine cannot decode {config.model_type!r} models",
                hint=f"it knows {', '.join(SUPPORTED)}",
            )
        self.dtype, self.device = dtype, device
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.eps, self.vocabulary = config.rms_norm_eps, config.vocab_size
        self._inverse_frequencies, self._rope_scale = _rope(config, device)

        def take(name: str) -> Tensor:
            return weights[name].detach().to(device=device, dtype=dtype)

        def linear(*names: str) -> Linear:
            biases = [f"{name}.bias" for name in names]
            bias = torch.cat([take(name) for name in biases]) if biases[0] in weights else None
            return pack_linear(torch.cat([take(f"{name}.weight") for name in names]), bias)

        self.layers = []
        for number in range(config.num_hidden_layers):
            block = f"model.layers.{number}"
            attention, mlp = f"{block}.self_attn", f"{block}.mlp"
            self.layers.append(
                Layer(
                    input_norm=take(f"{block}.input_layernorm.weight").clone(),
                    qkv=linear(f"{attention}.q_proj", f"{attention}.k_proj", f"{attention}.v_proj"),
                    out=linear(f"{attention}.o_proj"),
                    post_norm=take(f"{block}.post_attention_layernorm.weight").clone(),
                    gate_up=linear(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
                    down=linear(f"{mlp}.down_proj"),
                )
            )
        self.embedding = take("model.embed_tokens.weight").clone()
        self.norm = take("model.norm.weight").clone()
        self._head = pack_linear(self.embedding if config.tie_word_embeddings else take("lm_head.weight"))

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, E) -> (N, V) float32."""
        return self._head(F.rms_norm(hidden, (hidden.shape[-1],), self.norm, self.eps)).float()

    def prefill(self, ids: Tensor, lengths: Tensor, cache: Cache) -> Tensor:
        """Run prompts (B, P), padded on the right, into the cache. Returns the last real hidden state (B, E)."""
        batch, width = ids.shape
        cos, sin = self._angles(torch.arange(width, device=self.device).expand(batch, width))
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            q, k, v = self._qkv(layer, x, cos, sin)
            cache.prompt.append((k, v))
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            x = self._finish(layer, x, attended.transpose(1, 2).reshape(batch, width, -1))
        return x[torch.arange(batch), lengths - 1]

    def step(self, ids: Tensor, positions: Tensor, prompt_mask: Tensor, t: int, cache: Cache) -> Tensor:
        """One token for each row: `ids` (B, G) at `positions` (B, G), the t-th of the completion.

        `prompt_mask` (B, 1, 1, P) is 0 on real prompt tokens and -inf on padding. Returns hidden states (B·G, E).
        """
        groups, rows = ids.shape
        cos, sin = self._angles(positions.reshape(-1, 1))
        x = F.embedding(ids.reshape(-1, 1), self.embedding)
        for number, layer in enumerate(self.layers):
            q, k, v = self._qkv(layer, x, cos, sin)
            keys, values = cache.suffix[number]
            keys[:, :, :, t] = k.view(groups, rows, self.kv_heads, self.head_dim)
            values[:, :, :, t] = v.view(groups, rows, self.kv_heads, self.head_dim)
            q = q.view(groups, rows, self.kv_heads, -1, self.head_dim)
            attended = self._attend(q, cache.prompt[number], (keys, values), prompt_mask, t + 1)
            x = self._finish(layer, x, attended.reshape(groups * rows, 1, -1))
        return x[:, 0]

    def allocate(self, groups: int, rows: int, steps: int, cache: Cache) -> None:
        """Room for `steps` completion tokens of every row."""
        shape = (groups, rows, self.kv_heads, steps, self.head_dim)
        room = torch.empty((2, len(self.layers), *shape), dtype=self.dtype, device=self.device)
        cache.suffix = list(zip(*room, strict=True))

    def _attend(
        self, q: Tensor, prompt: tuple[Tensor, Tensor], suffix: tuple[Tensor, Tensor], mask: Tensor, length: int
    ) -> Tensor:
        """q (B, G, K, R, D) over the shared prompt and the own suffix -> (B, G, K·R·D)."""
        groups, rows, kv, repeat, size = q.shape
        shared = q.permute(0, 2, 1, 3, 4).reshape(groups, kv, rows * repeat, size)
        on_prompt = (shared @ prompt[0].transpose(-1, -2) * size**-0.5 + mask).view(groups, kv, rows, repeat, -1)
        on_prompt = on_prompt.permute(0, 2, 1, 3, 4)
        on_suffix = q @ suffix[0][:, :, :, :length].transpose(-1, -2) * size**-0.5
        weights = torch.cat((on_prompt, on_suffix), -1).float().softmax(-1).to(q.dtype)
        prompt_weights, suffix_weights = weights.split((on_prompt.shape[-1], length), -1)
        folded = prompt_weights.permute(0, 2, 1, 3, 4).reshape(groups, kv, rows * repeat, -1)
        from_prompt = (folded @ prompt[1]).view(groups, kv, rows, repeat, size).permute(0, 2, 1, 3, 4)
        attended = from_prompt + suffix_weights @ suffix[1][:, :, :, :length]
        out: Tensor = attended.reshape(groups, rows, -1)
        return out

    def _qkv(self, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (N, S, E) -> q (N, H, S, D), k and v (N, K, S, D), rotated."""
        rows, length, _ = x.shape
        mixed = layer.qkv(F.rms_norm(x, (x.shape[-1],), layer.input_norm, self.eps))
        mixed = mixed.view(rows, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = mixed.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
        return _rotate(q, cos, sin), _rotate(k, cos, sin), v

    def _finish(self, layer: Layer, x: Tensor, attended: Tensor) -> Tensor:
        x = x + layer.out(attended)
        gate, up = layer.gate_up(F.rms_norm(x, (x.shape[-1],), layer.post_norm, self.eps)).chunk(2, -1)
        return x + layer.down(F.silu(gate) * up)

    def _angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions (N, S) -> cos, sin (N, 1, S, D)."""
        angles = positions[..., None].float() * self._inverse_frequencies
        angles = torch.cat((angles, angles), -1)[:, None]
        return (angles.cos() * self._rope_scale).to(self.dtype), (angles.sin() * self._rope_scale).to(self.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding (arXiv:2104.09864), halves convention."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def _rope(config: Any, device: str) -> tuple[Tensor, float]:
    """Inverse frequencies and scale as transformers computes them, whatever the RoPE variant."""
    rope = LlamaRotaryEmbedding(config)
    inverse_frequencies: Tensor = rope.inv_freq
    return inverse_frequencies.float().to(device), float(rope.attention_scaling)

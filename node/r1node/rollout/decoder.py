"""Wide-batch decoding for Llama-like models: one pass over the prompt for each group, then all groups in step.

Where the time goes on a CPU is in the matrix products and in memory traffic, so:
  - weights are copied out of the checkpoint once, fused (qkv, gate-up) and packed for oneDNN;
  - a prompt's keys and values are computed once for its group and never copied;
  - keys and values lie in preallocated slots, which a finished sequence leaves to the next;
  - what stands between the products is done by a few fused kernels (r1node.kernels), on a CPU in C.

Shape letters: B prompts, N rows (sequences in step), P prompt length, T completion length, H heads, K key-value heads,
D head size, E hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from r1net.errors import PreflightError
from r1net.protocol.architectures import require_length
from r1node.kernels.ops import step_ops
from r1node.kernels.rows import Rows
from r1node.models.plain import EMBEDDING, NORM, OUTPUT, head_size, rope, why_not_plain
from r1node.models.precision import has_fast_bf16

Linear = Callable[[Tensor], Tensor]


def pack_linear(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """`x @ weight.T + bias`, with the weight laid out for oneDNN where that helps (bf16 on CPU)."""
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and has_fast_bf16("cpu"):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.clone())
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    own = weight.clone()
    return lambda x: F.linear(x, own, bias)


@dataclass
class Layer:
    """One transformer block's packed weights."""

    input_norm: Tensor
    qkv: Linear
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Linear
    post_norm: Tensor
    gate_up: Linear
    down: Linear


class Cache:
    """Room for keys and values, for each layer two of each: `prompt` (prompt slots, K, P, D), of whose tokens `lengths`
    (prompt slots) are real, and `suffix` (slots, K, T, D) for completions. A finished sequence's slot is used again."""

    def __init__(self, decoder: Decoder, prompts: int, width: int, rows: int, steps: int) -> None:
        def room(slots: int, tokens: int) -> list[tuple[Tensor, Tensor]]:
            shape = (len(decoder.layers), slots, decoder.kv_heads, tokens, decoder.head_dim)
            keys, values = (torch.zeros(shape, dtype=decoder.dtype, device=decoder.device) for _ in range(2))
            return list(zip(keys, values, strict=True))

        self.prompt, self.suffix = room(prompts, width), room(rows, steps)
        self.lengths = torch.zeros(prompts, dtype=torch.long, device=decoder.device)


class Decoder:
    """The model as a decoder. Built from Hugging Face weights; holds its own packed copy of them."""

    def __init__(self, config: Any, weights: Mapping[str, Tensor], dtype: torch.dtype, device: str) -> None:
        reason = why_not_plain(config, set(weights))
        if reason is not None:
            raise PreflightError(f"the built-in kernels cannot decode this model: {reason}", hint="use another engine")
        self.dtype, self.device = dtype, device
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = head_size(config)
        self.ops = step_ops(device, dtype, self.head_dim)
        self.eps, self.vocabulary = config.rms_norm_eps, config.vocab_size
        self._config = config.to_dict()
        self._inverse_frequencies, self._rope_scale = rope(config, device)

        def take(name: str) -> Tensor:
            return weights[name].detach().to(device=device, dtype=dtype)

        def optional(name: str) -> Tensor | None:
            return take(name).clone() if name in weights else None

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
                    q_norm=optional(f"{attention}.q_norm.weight"),
                    k_norm=optional(f"{attention}.k_norm.weight"),
                    out=linear(f"{attention}.o_proj"),
                    post_norm=take(f"{block}.post_attention_layernorm.weight").clone(),
                    gate_up=linear(f"{mlp}.gate_proj", f"{mlp}.up_proj"),
                    down=linear(f"{mlp}.down_proj"),
                )
            )
        self.embedding, self.norm = take(EMBEDDING).clone(), take(NORM).clone()
        self._head = pack_linear(take(OUTPUT) if OUTPUT in weights else self.embedding)

    def require_room(self, tokens: int) -> None:
        """Raise UsageError when sequences of so many tokens are longer than the model's positions serve."""
        require_length(self._config, tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, E) -> (N, V), in the weights' precision."""
        return self._head(hidden)

    def prefill(self, ids: Tensor, lengths: Tensor, cache: Cache, slots: Tensor) -> Tensor:
        """Run prompts (B, P), padded on the right, into `slots` (B) of the cache. Returns their last states, normed
        (B, E)."""
        batch, width = ids.shape
        angles = self._angles(torch.arange(width, device=self.device).repeat(batch))
        x = F.embedding(ids, self.embedding).float().flatten(0, 1)
        delta: Tensor | None = None
        for layer, (keys, values) in zip(self.layers, cache.prompt, strict=True):
            mixed = layer.qkv(self.ops.add_norm(x, delta, layer.input_norm, self.eps))
            self.ops.rotate_store(mixed, angles, (layer.q_norm, layer.k_norm), None, self.kv_heads, self.eps)
            heads = mixed.view(batch, width, -1, self.head_dim).transpose(1, 2)
            q, k, v = heads.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
            keys[slots, :, :width], values[slots, :, :width] = k, v
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            delta = self._finish(layer, x, attended.transpose(1, 2).reshape(batch * width, -1))
        cache.lengths[slots] = lengths
        last = torch.arange(batch, device=self.device) * width + lengths - 1
        return self.ops.add_norm(x, delta, self.norm, self.eps)[last]

    def step(self, ids: Tensor, rows: Rows, cache: Cache) -> Tensor:
        """One token `ids` (N) for each row, at its place. Returns normed states (N, E)."""
        angles = self._angles(cache.lengths[rows.prompts] + rows.t)
        x = F.embedding(ids, self.embedding).float()
        delta: Tensor | None = None
        for layer, prompt, suffix in zip(self.layers, cache.prompt, cache.suffix, strict=True):
            mixed = layer.qkv(self.ops.add_norm(x, delta, layer.input_norm, self.eps))
            self.ops.rotate_store(mixed, angles, (layer.q_norm, layer.k_norm), (suffix, rows), self.kv_heads, self.eps)
            delta = self._finish(layer, x, self.ops.attend(mixed, prompt, cache.lengths, suffix, rows))
        return self.ops.add_norm(x, delta, self.norm, self.eps)

    def _finish(self, layer: Layer, x: Tensor, attended: Tensor) -> Tensor:
        """The second half of a layer. Its last addition to x is left to the next norm."""
        hidden = self.ops.add_norm(x, layer.out(attended), layer.post_norm, self.eps)
        return layer.down(self.ops.gate(layer.gate_up(hidden)))

    def _angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """positions (N,) -> cos, sin (N, D/2) float32."""
        angles = positions[:, None].float() * self._inverse_frequencies
        return angles.cos() * self._rope_scale, angles.sin() * self._rope_scale

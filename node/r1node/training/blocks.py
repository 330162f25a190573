"""A Llama-like policy written out, forward and backward, over ragged micro-batches.

Why by hand: a graph of operators keeps some 25 values of each hidden size for each token and layer; here five tensors
are kept (or one, with checkpointing) and the rest is made again from them while it is needed. Gradients are added to
the float32 buffer of the trainer as they come.

Weights stand in the precision of the products; the residual stream is float32. An adapter is merged into the weights
(arXiv:2106.09685, eq. 3), so the policy that learns is the one that the engine samples from; its own gradients follow
from those of the merged product.

Shape letters: M tokens, E hidden size, F size of the gated layer, C = (H + 2K)·D values of q, k and v.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from r1node.kernels.rows import NO_NORMS, HeadNorms
from r1node.kernels.train_ops import TrainOps, train_ops
from r1node.models.plain import EMBEDDING, NORM, OUTPUT, head_size, rope
from r1node.training.attention import Attention
from r1node.training.head import EmbeddingHead, Head
from r1node.training.packing import Group
from r1node.training.ragged import Ragged, lay_out, ragged_batches
from r1node.training.source import Source

KEPT_BYTES = 2**30
"""A micro-batch whose layers would keep more than this (on a GPU: half of what is free) keeps their inputs only: a
third more time, a fifth of the memory."""


class Projection:
    """Linear layers that share their input, as one product."""

    def __init__(self, source: Source, names: Sequence[str], dtype: torch.dtype, ops: TrainOps) -> None:
        parts = [source.weight(f"{name}.weight") for name in names]
        self.weight = torch.cat([part.to(dtype) for part in parts]) if len(parts) > 1 else parts[0].to(dtype)
        biases = [f"{name}.bias" for name in names]
        self.bias = torch.cat([source.weight(b).to(dtype) for b in biases]) if source.has(biases[0]) else None
        self._source, self._names, self._ops = source, names, ops
        self._trained = f"{names[0]}.weight" in source.gradients
        self._sizes = [len(part) for part in parts]

    def forward(self, x: Tensor) -> Tensor:
        """(M, in) -> (M, out)."""
        return F.linear(x, self.weight, self.bias)

    def backward(self, x: Tensor, g: Tensor) -> Tensor:
        """Take up the gradients for x (M, in) and g (M, out); returns the gradient by x."""
        self.take_up(x, g)
        return g @ self.weight

    def take_up(self, x: Tensor, g: Tensor) -> None:
        """Add to the gradients of weights, biases and adapters."""
        gradients = self._source.gradients
        if self._trained:
            self._ops.accumulate_product([gradients[f"{name}.weight"] for name in self._names], g, x)
        for name, slope in zip(self._names, g.split(self._sizes, 1), strict=True):
            if f"{name}.bias" in gradients:
                gradients[f"{name}.bias"].add_(slope.float().sum(0))
            adapter = self._source.adapters.get(name)
            if adapter is not None:
                adapter.by_high.add_(slope.T @ (x @ adapter.low.T), alpha=adapter.scale)
                adapter.by_low.add_((slope @ adapter.high).T @ x, alpha=adapter.scale)


@dataclass(frozen=True)
class Made:
    """What a layer's backward starts from, in the products' precision: its input and the stream after attention (M, E),
    q, k and v (M, C), rotated unless their heads are normed, what attention gave (M, H·D), and the gated layer's input
    (M, 2F)."""

    start: Tensor
    mixed: Tensor
    attended: Tensor
    middle: Tensor
    gate_up: Tensor


Saved = Made | Tensor
"""With checkpointing only the layer's input (M, E), in float32, so that the rest comes out the same again."""


class Block:
    """One transformer layer."""

    def __init__(self, source: Source, prefix: str, dtype: torch.dtype, attention: Attention, eps: float) -> None:
        def projection(*names: str) -> Projection:
            return Projection(source, [f"{prefix}.{name}" for name in names], dtype, attention.ops)

        def norm(name: str) -> tuple[Tensor, Tensor | None]:
            full = f"{prefix}.{name}.weight"
            return source.weight(full).to(dtype), source.gradients.get(full)

        self._input_norm, self._post_norm = norm("input_layernorm"), norm("post_attention_layernorm")
        names = ("self_attn.q_norm", "self_attn.k_norm")
        self._head_norms = [norm(name) for name in names] if source.has(f"{prefix}.{names[0]}.weight") else []
        self._qkv = projection("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self._out = projection("self_attn.o_proj")
        self._gate_up = projection("mlp.gate_proj", "mlp.up_proj")
        self._down = projection("mlp.down_proj")
        self._attention, self._ops, self._eps, self._dtype = attention, attention.ops, eps, dtype

    def forward(
        self, x: Tensor, delta: Tensor | None, batch: Ragged, angles: tuple[Tensor, Tensor], checkpoint: bool
    ) -> tuple[Tensor, Saved]:
        """x (M, E) float32 += delta, then + attention, in place. Returns the layer's last addition and what is kept."""
        if delta is not None:
            x += delta
        start = x.clone() if checkpoint else None
        made = self._make(x, batch, angles)
        return self._down.forward(self._ops.gate(made.gate_up)), made if start is None else start

    def _make(self, x: Tensor, batch: Ragged, angles: tuple[Tensor, Tensor]) -> Made:
        hidden = self._ops.add_norm(x, None, self._input_norm[0], self._eps)
        start = x.to(self._dtype, copy=True)
        mixed = self._qkv.forward(hidden)
        attended = self._attention.forward(self._turned(mixed, angles), batch)
        hidden = self._ops.add_norm(x, self._out.forward(attended), self._post_norm[0], self._eps)
        return Made(start, mixed, attended, x.to(self._dtype, copy=True), self._gate_up.forward(hidden))

    def backward(self, saved: Saved, dx: Tensor, batch: Ragged, angles: tuple[Tensor, Tensor]) -> None:
        """dx (M, E) float32, the gradient by the layer's output, becomes that by its input."""
        made = saved if isinstance(saved, Made) else self._make(saved, batch, angles)
        g = dx.to(self._dtype)
        product, by_gate_up = self._ops.gate_backward(made.gate_up, g @ self._down.weight)
        self._down.take_up(product, g)
        hidden = self._ops.add_norm(made.middle.float(), None, self._post_norm[0], self._eps)
        self._norm_backward(made.middle, self._post_norm, self._gate_up.backward(hidden, by_gate_up), dx)
        by_attended = self._out.backward(made.attended, dx.to(self._dtype))
        turned = self._turned(made.mixed, angles) if self._head_norms else made.mixed
        by_mixed = self._attention.backward(turned, batch, by_attended)
        self._rotate(by_mixed, (angles[0], -angles[1]))
        if self._head_norms:
            self._head_norms_backward(made.mixed, by_mixed)
        hidden = self._ops.add_norm(made.start.float(), None, self._input_norm[0], self._eps)
        self._norm_backward(made.start, self._input_norm, self._qkv.backward(hidden, by_mixed), dx)

    def _turned(self, mixed: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """q and k rotated: in place, unless their heads are normed first, which backward needs them unnormed for."""
        if not self._head_norms:
            self._rotate(mixed, angles)
            return mixed
        turned = mixed.clone()
        norms = (self._head_norms[0][0], self._head_norms[1][0])
        self._rotate(turned, angles, norms)
        return turned

    def _rotate(self, mixed: Tensor, angles: tuple[Tensor, Tensor], norms: HeadNorms = NO_NORMS) -> None:
        self._ops.rotate_store(mixed, angles, norms, None, self._attention.kv_heads, self._eps)

    def _head_norms_backward(self, mixed: Tensor, g: Tensor) -> None:
        """g (M, C), the gradient by the normed heads of q and k, becomes that by `mixed`, in place."""
        attention = self._attention
        sizes = [heads * attention.size for heads in (attention.heads, attention.kv_heads, attention.kv_heads)]
        for x, slope, norm in zip(mixed.split(sizes, 1), g.split(sizes, 1), self._head_norms, strict=False):
            heads = x.reshape(-1, attention.size)
            by_heads = torch.zeros(heads.shape, device=g.device)
            self._norm_backward(heads, norm, slope.reshape(-1, attention.size), by_heads)
            slope.copy_(by_heads.view(slope.shape))

    def _norm_backward(self, x: Tensor, norm: tuple[Tensor, Tensor | None], g: Tensor, dx: Tensor) -> None:
        self._ops.norm_backward(x, norm[0], g, dx, norm[1], self._eps)


class BlockModel:
    """The whole policy, with weights as they are now: made anew after every step."""

    def __init__(self, config: Any, source: Source, dtype: torch.dtype, device: str, temperature: float) -> None:
        heads, self._eps = config.num_attention_heads, config.rms_norm_eps
        self._dtype, self._device = dtype, device
        size = head_size(config)
        self._ops = train_ops(device, dtype, size)
        attention = Attention(heads, config.num_key_value_heads, size, self._ops)
        self._frequencies, self._rope_scale = rope(config, device)
        self._embedding = source.weight(EMBEDDING).to(dtype)
        self._by_embedding = source.gradients.get(EMBEDDING)
        names = [f"model.layers.{number}" for number in range(config.num_hidden_layers)]
        self._blocks = [Block(source, name, dtype, attention, self._eps) for name in names]
        self._norm, self._by_norm = source.weight(NORM).to(dtype), source.gradients.get(NORM)
        output = OUTPUT if source.has(OUTPUT) else EMBEDDING
        weight = source.weight(OUTPUT).to(dtype) if source.has(OUTPUT) else self._embedding
        width = (
            2 * config.hidden_size + (2 * heads + 2 * config.num_key_value_heads) * size + 2 * config.intermediate_size
        )
        self._room = KEPT_BYTES if device == "cpu" else torch.cuda.mem_get_info(device)[0] // 2
        self._bytes_per_token = config.num_hidden_layers * width * dtype.itemsize
        self.head: Head = EmbeddingHead(temperature, self._ops, weight, source.gradients.get(output))

    def batches(self, groups: Sequence[Group], token_budget: int) -> Iterator[Ragged]:
        """Micro-batches for `forward`."""
        return (lay_out(batch, self._device) for batch in ragged_batches(groups, token_budget))

    def forward(self, batch: Ragged) -> tuple[Tensor, Tape]:
        """Normed states (tokens to predict, E), in the order of `source_NT`'s real places, and what backward needs."""
        checkpoint = len(batch.ids_M) * self._bytes_per_token > self._room
        turns = batch.positions_M[:, None].float() * self._frequencies
        angles = (turns.cos() * self._rope_scale, turns.sin() * self._rope_scale)
        x = F.embedding(batch.ids_M, self._embedding).float()
        delta: Tensor | None = None
        kept = []
        for block in self._blocks:
            delta, saved = block.forward(x, delta, batch, angles, checkpoint)
            kept.append(saved)
        places = batch.source_NT[batch.mask_NT.bool()]
        assert delta is not None
        last = x[places] + delta[places]
        tape = Tape(batch, angles, kept, places, last.to(self._dtype))
        return self._ops.add_norm(last, None, self._norm, self._eps), tape

    def backward(self, tape: Tape, g: Tensor) -> None:
        """Take up the gradients for g, that by what `forward` returned. Uses the tape up."""
        last = torch.zeros(g.shape, device=g.device)
        self._ops.norm_backward(tape.last, self._norm, g.to(self._dtype), last, self._by_norm, self._eps)
        dx = torch.zeros(len(tape.batch.ids_M), g.shape[1], device=g.device).index_add_(0, tape.places, last)
        for block in reversed(self._blocks):
            block.backward(tape.kept.pop(), dx, tape.batch, tape.angles)
        if self._by_embedding is not None:
            self._by_embedding.index_add_(0, tape.batch.ids_M, dx)


@dataclass
class Tape:
    """What a forward pass leaves for its backward pass."""

    batch: Ragged
    angles: tuple[Tensor, Tensor]
    kept: list[Saved]
    places: Tensor
    last: Tensor

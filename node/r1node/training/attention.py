"""Attention of a ragged micro-batch: prompts to themselves, completions to their prompt and to themselves.

Forward is PyTorch's fused attention. Backward is written out: PyTorch's own is several times slower in bfloat16 on a
CPU, and keeping its graph for every layer would cost more memory than all else.

Shape letters: M tokens, C = (H + 2K)·D values of q, k and v, H query heads, K key-value heads, R = H / K, D head size,
N sequences, T queries, P shared prompt tokens, S = P + T keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from r1node.kernels.train_ops import TrainOps, seen
from r1node.training.ragged import Ragged

SCORES = 2**24
"""Scores that exist at one time in backward: queries are taken in blocks, so that memory grows with T, not with T²."""


@dataclass(frozen=True)
class Attention:
    """The heads of one model."""

    heads: int
    kv_heads: int
    size: int
    ops: TrainOps

    def forward(self, mixed: Tensor, batch: Ragged) -> Tensor:
        """mixed (M, C), rotated -> (M, H·D)."""
        rows, out = _with_spare(mixed), mixed.new_empty(len(mixed) + 1, self.heads * self.size)
        q, k, v = self._take(rows, batch.prompts_BP)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out[batch.prompts_BP.flatten()] = attended.transpose(1, 2).flatten(0, 1).flatten(1)
        if batch.inputs_NT.shape[1]:
            own_q, own_k, own_v = self._take(rows, batch.inputs_NT)
            keys, values = (torch.cat((shared[batch.owner_N], own), 2) for shared, own in ((k, own_k), (v, own_v)))
            visible = seen(batch.lengths_B[batch.owner_N], k.shape[2], own_q.shape[2], keys.shape[2])[:, None]
            attended = F.scaled_dot_product_attention(own_q, keys, values, visible, enable_gqa=True)
            out[batch.inputs_NT.flatten()] = attended.transpose(1, 2).flatten(0, 1).flatten(1)
        return out[:-1]

    def backward(self, mixed: Tensor, batch: Ragged, g: Tensor) -> Tensor:
        """The gradient by mixed (M, C) for g (M, H·D)."""
        rows, slopes = _with_spare(mixed), _with_spare(g)
        by_mixed = torch.zeros_like(rows)
        q, k, v = self._take(rows, batch.prompts_BP)
        by_q, by_k, by_v = self._backward(
            q, k, v, self._heads(slopes, batch.prompts_BP), torch.zeros_like(batch.lengths_B)
        )
        if batch.inputs_NT.shape[1]:
            own_q, own_k, own_v = self._take(rows, batch.inputs_NT)
            owner, room = batch.owner_N, k.shape[2]
            keys, values = (torch.cat((shared[owner], own), 2) for shared, own in ((k, own_k), (v, own_v)))
            own_g = self._heads(slopes, batch.inputs_NT)
            own = self._backward(own_q, keys, values, own_g, batch.lengths_B[owner])
            by_k.index_add_(0, owner, own[1][:, :, :room])
            by_v.index_add_(0, owner, own[2][:, :, :room])
            self._put(by_mixed, batch.inputs_NT, own[0], own[1][:, :, room:], own[2][:, :, room:])
        self._put(by_mixed, batch.prompts_BP, by_q, by_k, by_v)
        return by_mixed[:-1]

    def _backward(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor, prefix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients by q (N, H, T, D), k and v (N, K, S, D) for g (N, H, T, D); float32 for k and v."""
        count, _, queries, size = q.shape
        room, scale = k.shape[2] - queries, size**-0.5
        by_q, by_k, by_v = torch.empty_like(q), torch.zeros_like(k, dtype=torch.float32), torch.zeros_like(v).float()
        block = max(1, SCORES // (count * self.heads * k.shape[2]))
        for first in range(0, queries, block):
            last = min(first + block, queries)
            keys, values = k[:, :, : room + last], v[:, :, : room + last]
            part, slope = self._fold(q[:, :, first:last]), self._fold(g[:, :, first:last])
            shape = (count, self.kv_heads, self.heads // self.kv_heads, last - first, room + last)
            scores = (part.float() @ keys.float().mT).view(shape)
            weights, by_scores = self.ops.softmax_backward(
                scores, (slope @ values.mT).view(shape), prefix, room, first, scale
            )
            weights, by_scores = weights.flatten(2, 3), by_scores.flatten(2, 3)
            by_q[:, :, first:last] = (by_scores @ keys).view(count, self.heads, last - first, size)
            by_k[:, :, : room + last] += by_scores.mT @ part
            by_v[:, :, : room + last] += weights.mT @ slope
        return by_q, by_k, by_v

    def _fold(self, x: Tensor) -> Tensor:
        """(N, H, T, D) -> (N, K, R·T, D): the query heads of a key-value head as further queries."""
        return x.reshape(len(x), self.kv_heads, -1, self.size)

    def _take(self, rows: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q (N, H, T, D), k and v (N, K, T, D) of the tokens at `places` (N, T)."""
        q, k, v = self._heads(rows, places).split((self.heads, self.kv_heads, self.kv_heads), 1)
        return q, k, v

    def _heads(self, rows: Tensor, places: Tensor) -> Tensor:
        """(N, H, T, D) of rows (M + 1, H·D)."""
        heads: Tensor = rows[places].unflatten(2, (-1, self.size)).transpose(1, 2)
        return heads

    def _put(self, rows: Tensor, places: Tensor, q: Tensor, k: Tensor, v: Tensor) -> None:
        whole = torch.cat((q, k.to(q.dtype), v.to(q.dtype)), 1).transpose(1, 2).flatten(2)
        rows[places.flatten()] = whole.flatten(0, 1)


def _with_spare(x: Tensor) -> Tensor:
    """One more row, of zeros, for the places where there is no token."""
    return torch.cat((x, x.new_zeros(1, x.shape[1])))

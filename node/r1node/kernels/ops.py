"""What a decoding layer does between its matrix products: in PyTorch for any device, in C for CPUs (`native.py`).

Shape letters: N rows (sequences in step), E hidden size, H heads, K key-value heads, D head size, P room
for prompt tokens, T room for completion tokens, F size of the gated layer, V vocabulary.
"""

from __future__ import annotations

import logging
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from r1net.errors import PreflightError
from r1node.kernels.native import LANES, Kernels, NativeOps
from r1node.kernels.rows import HeadNorms, Rows, Store

log = logging.getLogger(__name__)


class StepOps(Protocol):
    """All tensors are contiguous. `dtype` below is that of the weights; the residual stream is float32."""

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """x (N, E) float32 += delta (N, E), in place; returns RMSNorm(x) in `dtype` (arXiv:1910.07467, eq. 4)."""
        ...

    def rotate_store(
        self,
        mixed: Tensor,
        angles: tuple[Tensor, Tensor],
        norms: HeadNorms,
        store: Store | None,
        kv_heads: int,
        eps: float,
    ) -> None:
        """Rotate q and k of `mixed` (N, (H + 2K)·D) in place by cos and sin (N, D/2) float32, after RMSNorm where
        `norms` has weights (D); put k and v of each row into the store, where one is given."""
        ...

    def attend(
        self, mixed: Tensor, prompt: tuple[Tensor, Tensor], lengths: Tensor, suffix: tuple[Tensor, Tensor], rows: Rows
    ) -> Tensor:
        """Each row's query to its prompt, of two (prompt slots, K, P, D) with `lengths` int64 real tokens, and to its
        own completion up to and with this token. Returns (N, H·D)."""
        ...

    def gate(self, gate_up: Tensor) -> Tensor:
        """(N, 2F) -> silu(first half) · second half, (N, F) (arXiv:2002.05202, eq. 6)."""
        ...

    def block_sums(self, logits: Tensor, block: int, scale: float) -> tuple[Tensor, Tensor]:
        """For each run of `block` logits of a row (N, V): its maximum, and the sum of exp((logit - maximum) · scale).
        Both (N, ceil(V / block)) float32."""
        ...


def step_ops(device: str, dtype: torch.dtype, head_size: int) -> StepOps:
    """The kernels of decoding for a device."""
    return NativeOps(dtype) if has_native(device, dtype, head_size) else TorchOps()


def has_native(device: str, dtype: torch.dtype, head_size: int) -> bool:
    """Whether C serves here: on a CPU where it can be compiled; else PyTorch's operators do."""
    if device != "cpu" or head_size % LANES:
        return False
    try:
        Kernels(dtype)
    except PreflightError as error:
        log.warning("working without C kernels, at about half the speed: %s (%s)", error.message, error.hint)
        return False
    return True


class TorchOps:
    """Implements `StepOps` with PyTorch's operators."""

    def add_norm(self, x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """See `StepOps.add_norm`."""
        if delta is not None:
            x += delta
        return F.rms_norm(x, (x.shape[-1],), weight.float(), eps).to(weight.dtype)

    def rotate_store(
        self,
        mixed: Tensor,
        angles: tuple[Tensor, Tensor],
        norms: HeadNorms,
        store: Store | None,
        kv_heads: int,
        eps: float,
    ) -> None:
        """See `StepOps.rotate_store`."""
        cos, sin = (angle[:, None] for angle in angles)
        size = 2 * cos.shape[-1]
        parts = mixed.view(len(mixed), -1, size)
        heads = parts.shape[1] - 2 * kv_heads
        for part, weight in zip(parts[:, : heads + kv_heads].split((heads, kv_heads), 1), norms, strict=True):
            whole = part.float() if weight is None else F.rms_norm(part.float(), (size,), weight.float(), eps)
            first, second = whole.chunk(2, -1)
            part.copy_(torch.cat((first * cos - second * sin, second * cos + first * sin), -1))
        if store is not None:
            (keys, values), rows = store
            keys[rows.slots, :, rows.t] = parts[:, heads : heads + kv_heads]
            values[rows.slots, :, rows.t] = parts[:, heads + kv_heads :]

    def attend(
        self, mixed: Tensor, prompt: tuple[Tensor, Tensor], lengths: Tensor, suffix: tuple[Tensor, Tensor], rows: Rows
    ) -> Tensor:
        """See `StepOps.attend`."""
        _, kv_heads, width, size = prompt[0].shape
        own = int(rows.t.max()) + 1
        keys, values = (
            torch.cat((shared[rows.prompts], mine[:, :, :own][rows.slots]), 2)
            for shared, mine in zip(prompt, suffix, strict=True)
        )
        places = torch.arange(width + own, device=mixed.device)
        on_prompt = places < lengths[rows.prompts, None]
        on_own = (places >= width) & (places - width <= rows.t[:, None])
        q = mixed.view(len(mixed), -1, 1, size)[:, : -2 * kv_heads]
        mask = (on_prompt | on_own)[:, None, None]
        return F.scaled_dot_product_attention(q, keys, values, mask, enable_gqa=True).flatten(1)

    def gate(self, gate_up: Tensor) -> Tensor:
        """See `StepOps.gate`."""
        gate, up = gate_up.float().chunk(2, -1)
        return (F.silu(gate) * up).to(gate_up.dtype)

    def block_sums(self, logits: Tensor, block: int, scale: float) -> tuple[Tensor, Tensor]:
        """See `StepOps.block_sums`."""
        blocks = F.pad(logits.float(), (0, -logits.shape[1] % block), value=float("-inf")).unflatten(1, (-1, block))
        maxima = blocks.amax(-1)
        return maxima, (blocks - maxima[..., None]).mul_(scale).exp_().sum(-1)

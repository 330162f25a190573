"""What training does between its matrix products: in PyTorch for any device, in C for CPUs (train.c).

Shape letters: M tokens, E hidden size, C = (H + 2K)·D of H query heads and K key-value heads of size D, F size of the
gated layer, N sequences, R = H / K, T queries, S keys, V vocabulary (or a part of it).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from r1node.kernels.native import NativeOps, address
from r1node.kernels.ops import StepOps, TorchOps, has_native


class TrainOps(StepOps, Protocol):
    """What decoding does, and its backward. Sums that grow over tokens are float32."""

    def norm_backward(
        self, x: Tensor, weight: Tensor, g: Tensor, dx: Tensor, dweight: Tensor | None, eps: float
    ) -> None:
        """Add the gradients of RMSNorm(x (M, E) in `dtype`) to `dx` (M, E) and `dweight` (E), both float32."""
        ...

    def gate_backward(self, gate_up: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """What `gate` returned, (M, F), and the gradient by gate_up (M, 2F) for `g` (M, F)."""
        ...

    def softmax_backward(
        self, scores: Tensor, slopes: Tensor, prefix: Tensor, prefix_room: int, first: int, scale: float
    ) -> tuple[Tensor, Tensor]:
        """Softmax weights of `scores` (N, K, R, T, S) float32, and for `slopes`, the gradient by them, the gradient by
        q·k; both in `dtype`. Query t of sequence n sees keys [0, prefix[n]) and [prefix_room, prefix_room + first + t].
        Both arguments are used up."""
        ...

    def head_fold(
        self, logits: Tensor, targets: Tensor, figures: tuple[Tensor, Tensor, Tensor, Tensor], start: int, scale: float
    ) -> None:
        """Fold logits (M, V) of tokens `start` and on into `figures` (M): the largest logit, the sum of
        exp(logit - largest), that of logit · exp(logit - largest), and the target's logit; before the first part they
        are -inf, 0, 0, and anything. Logits are multiplied by `scale`."""
        ...

    def head_slope(
        self, logits: Tensor, targets: Tensor, normalisers: Tensor, coefficients: Tensor, start: int, scale: float
    ) -> None:
        """logits (M, V) become coefficient · (one-hot(target) - softmax) · scale in place."""
        ...

    def accumulate_product(self, totals: Sequence[Tensor], a: Tensor, b: Tensor) -> None:
        """Add aᵀ·b (m, n), a (M, m) and b (M, n), to `totals`, float32: its first rows to (m₁, n), the next to
        (m₂, n), …; Σmᵢ = m."""
        ...


def train_ops(device: str, dtype: torch.dtype, head_size: int) -> TrainOps:
    """The kernels of training for a device."""
    return NativeTrainOps(dtype) if has_native(device, dtype, head_size) else TorchTrainOps()


class NativeTrainOps(NativeOps):
    """Implements `TrainOps` in C for one precision. Raises PreflightError when the kernels cannot be compiled here."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        kernels = self._kernels
        self._norm_backward = kernels.take("norm_backward", 5, 2, 1, ctypes.c_int)
        self._gate_backward = kernels.take("gate_backward", 4, 2, 0)
        self._softmax_backward = kernels.take("softmax_backward", 4, 6, 1)
        self._head_fold = kernels.take("head_fold", 6, 3, 1)
        self._head_slope = kernels.take("head_slope", 4, 3, 1)
        self._accumulate = kernels.take("accumulate", 2, 1, 0)
        self._transpose = kernels.take("transpose", 2, 2, 0)

    def norm_backward(
        self, x: Tensor, weight: Tensor, g: Tensor, dx: Tensor, dweight: Tensor | None, eps: float
    ) -> None:
        """See `TrainOps.norm_backward`."""
        tensors = (address(x), address(weight), address(g), address(dx), address(dweight))
        if self._norm_backward(*tensors, *x.shape, eps):
            raise MemoryError("no memory for the backward pass of a norm")

    def gate_backward(self, gate_up: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """See `TrainOps.gate_backward`."""
        out, slope = torch.empty_like(g), torch.empty_like(gate_up)
        self._gate_backward(address(gate_up), address(g), address(out), address(slope), *g.shape)
        return out, slope

    def softmax_backward(
        self, scores: Tensor, slopes: Tensor, prefix: Tensor, prefix_room: int, first: int, scale: float
    ) -> tuple[Tensor, Tensor]:
        """See `TrainOps.softmax_backward`."""
        sequences, kv_heads, repeat, queries, keys = scores.shape
        weights = torch.empty_like(slopes)
        self._softmax_backward(
            *(address(scores), address(slopes), address(weights), address(prefix)),
            *(sequences, kv_heads * repeat, queries, keys, prefix_room, first, scale),
        )
        return weights, slopes

    def head_fold(
        self, logits: Tensor, targets: Tensor, figures: tuple[Tensor, Tensor, Tensor, Tensor], start: int, scale: float
    ) -> None:
        """See `TrainOps.head_fold`."""
        self._head_fold(address(logits), address(targets), *map(address, figures), *logits.shape, start, scale)

    def head_slope(
        self, logits: Tensor, targets: Tensor, normalisers: Tensor, coefficients: Tensor, start: int, scale: float
    ) -> None:
        """See `TrainOps.head_slope`."""
        tensors = (address(logits), address(targets), address(normalisers), address(coefficients))
        self._head_slope(*tensors, *logits.shape, start, scale)

    def accumulate_product(self, totals: Sequence[Tensor], a: Tensor, b: Tensor) -> None:
        """See `TrainOps.accumulate_product`."""
        product = a.T @ b if self._dtype == torch.float32 else F.linear(self._transposed(a), self._transposed(b))
        for total, part in zip(totals, product.split([len(total) for total in totals]), strict=True):
            self._accumulate(address(total), address(part), part.numel())

    def _transposed(self, x: Tensor) -> Tensor:
        """oneDNN multiplies twice as fast with the long side innermost, and PyTorch's own copy eats that up again."""
        out = torch.empty(x.shape[1], x.shape[0], dtype=x.dtype)
        self._transpose(address(x), address(out), *x.shape)
        return out


class TorchTrainOps(TorchOps):
    """Implements `TrainOps` with PyTorch's operators."""

    def norm_backward(
        self, x: Tensor, weight: Tensor, g: Tensor, dx: Tensor, dweight: Tensor | None, eps: float
    ) -> None:
        """See `TrainOps.norm_backward`."""
        whole, slope = x.float(), g.float() * weight.float()
        scale = (whole.square().mean(-1, keepdim=True) + eps).rsqrt()
        dx += scale * (slope - whole * scale.square() * (slope * whole).mean(-1, keepdim=True))
        if dweight is not None:
            dweight += (g.float() * whole * scale).sum(0)

    def gate_backward(self, gate_up: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """See `TrainOps.gate_backward`."""
        (gate, up), by = gate_up.float().chunk(2, -1), g.float()
        sigmoid = gate.sigmoid()
        slope = torch.cat((by * up * sigmoid * (1 + gate * (1 - sigmoid)), by * gate * sigmoid), -1)
        return (gate * sigmoid * up).to(g.dtype), slope.to(g.dtype)

    def softmax_backward(
        self, scores: Tensor, slopes: Tensor, prefix: Tensor, prefix_room: int, first: int, scale: float
    ) -> tuple[Tensor, Tensor]:
        """See `TrainOps.softmax_backward`."""
        visible = seen(prefix, prefix_room, scores.shape[-2], scores.shape[-1], first)[:, None, None]
        weights = (scores * scale).masked_fill_(~visible, float("-inf")).softmax(-1)
        by = slopes.float()
        by = weights * (by - (weights * by).sum(-1, keepdim=True)) * scale
        return weights.to(slopes.dtype), by.to(slopes.dtype)

    def head_fold(
        self, logits: Tensor, targets: Tensor, figures: tuple[Tensor, Tensor, Tensor, Tensor], start: int, scale: float
    ) -> None:
        """See `TrainOps.head_fold`."""
        largest, sums, products, chosen = figures
        scaled = logits.float() * scale
        here = (targets >= start) & (targets < start + logits.shape[1])
        own = scaled.gather(1, (targets - start).clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        chosen.copy_(torch.where(here, own, chosen))
        most = torch.maximum(largest, scaled.amax(1))
        mass = (scaled - most[:, None]).exp()
        shrink = (largest - most).exp()
        sums.mul_(shrink).add_(mass.sum(1))
        products.mul_(shrink).add_((scaled * mass).sum(1))
        largest.copy_(most)

    def head_slope(
        self, logits: Tensor, targets: Tensor, normalisers: Tensor, coefficients: Tensor, start: int, scale: float
    ) -> None:
        """See `TrainOps.head_slope`."""
        slope = (logits.float() * scale - normalisers[:, None]).exp_().neg_()
        rows = ((targets >= start) & (targets < start + logits.shape[1])).nonzero()[:, 0]
        slope[rows, targets[rows] - start] += 1.0
        logits.copy_(slope * (coefficients * scale)[:, None])

    def accumulate_product(self, totals: Sequence[Tensor], a: Tensor, b: Tensor) -> None:
        """See `TrainOps.accumulate_product`."""
        product = a.T @ b
        for total, part in zip(totals, product.split([len(total) for total in totals]), strict=True):
            total.add_(part)


def seen(prefix: Tensor, prefix_room: int, queries: int, keys: int, first: int = 0) -> Tensor:
    """(N, T, S) bool: what each query may attend to; see `TrainOps.softmax_backward`."""
    place = torch.arange(keys, device=prefix.device)
    last = prefix_room + first + torch.arange(queries, device=prefix.device)
    own = (place >= prefix_room) & (place <= last[:, None])
    return (place < prefix[:, None, None]) | own

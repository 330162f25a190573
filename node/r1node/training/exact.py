"""What stands between bytes and bytes: the arithmetic that turns an averaged gradient into the next sampled weights.

Single IEEE-754 operations in a stated order, each rounded to float32 by itself: multiply, add, subtract, divide,
square root, and the cast. No fused multiply-add, no `lerp` or `addcdiv`, no matrix product, no reduction whose order is
left to a kernel, no random numbers of a device: those differ between instruction sets, threads, CPU and GPU.
`digest_of_a_run` is the same on every machine that is fit to train; `require` compares.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from r1net.errors import PreflightError
from r1net.protocol.job import Optimizer
from r1net.protocol.seeds import derive_seed

CHUNK = 2**16
"""Values taken at a time, so that what an operation leaves is still in a CPU's cache for the next."""

NORM_CHUNK = 2**15
"""Squares folded at a time. A power of two."""

EXPECTED = "1fc6f5fb063b0e5d652163fd8e4ba9c595085e2e989034147e67ba9f9642595e"
"""What `digest_of_a_run` is. Another value is another network: versions made before and after would not agree."""


@dataclass
class Moments:
    """AdamW's running means of one tensor's gradient and of its square, float32, flat."""

    first: Tensor
    second: Tensor


class AdamW:
    """AdamW (arXiv:1711.05101, algorithm 2, with the decay before the step, as PyTorch has it).

    With g the gradient, t the number of the step, η the rate, λ the decay:

        m = m·β₁ + g·(1 - β₁)               v = v·β₂ + (g·g)·(1 - β₂)
        p = p·(1 - η·λ)                     p = p - (m / (√v / √(1 - β₂ᵗ) + ε))·(η / (1 - β₁ᵗ))

    Scalars are made in float64, powers by repeated multiplication, and rounded to float32 once.
    """

    def __init__(self, options: Optimizer) -> None:
        self._options = options
        self.steps = 0
        self.moments: list[Moments] = []

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> None:
        """Change `parameters` in place. All tensors are float32, contiguous, and pairwise of one shape."""
        if not self.moments:
            self.moments = [Moments(*(torch.zeros_like(p).flatten() for _ in range(2))) for p in parameters]
        self.steps += 1
        numbers = self._numbers(rate)
        scratch = [torch.empty(CHUNK, device=parameters[0].device) for _ in range(2)]
        for parameter, gradient, moments in zip(parameters, gradients, self.moments, strict=True):
            whole = (parameter.view(-1), gradient.reshape(-1), moments.first, moments.second)
            for p, g, m, v in zip(*(tensor.split(CHUNK) for tensor in whole), strict=True):
                _step(p, g, m, v, numbers, *(part[: len(p)] for part in scratch))

    def _numbers(self, rate: float) -> _Numbers:
        beta1, beta2 = self._options.betas
        return _Numbers(
            beta1=_single(beta1),
            rest1=_single(1 - beta1),
            beta2=_single(beta2),
            rest2=_single(1 - beta2),
            root=_single(math.sqrt(1 - power(beta2, self.steps))),
            eps=_single(self._options.eps),
            kept=_single(1 - rate * self._options.weight_decay),
            size=_single(rate / (1 - power(beta1, self.steps))),
        )


@dataclass(frozen=True)
class _Numbers:
    beta1: float
    rest1: float
    beta2: float
    rest2: float
    root: float
    eps: float
    kept: float
    size: float


def _step(p: Tensor, g: Tensor, m: Tensor, v: Tensor, numbers: _Numbers, one: Tensor, two: Tensor) -> None:
    torch.mul(g, numbers.rest1, out=one)
    m.mul_(numbers.beta1).add_(one)
    torch.mul(g, g, out=one)
    one.mul_(numbers.rest2)
    v.mul_(numbers.beta2).add_(one)
    square_root(v, one)
    one.div_(numbers.root).add_(numbers.eps)
    torch.div(m, one, out=two)
    two.mul_(numbers.size)
    if numbers.kept != 1.0:
        p.mul_(numbers.kept)
    p.sub_(two)


def square_root(values: Tensor, into: Tensor) -> None:
    """√ of float32 values, rounded as IEEE-754 says. On a CPU PyTorch's is that of Intel's MKL where MKL takes the
    processor for its own, and then off by the last bit for one value in 160; NumPy's is the processor's instruction."""
    if values.device.type == "cpu":
        np.sqrt(values.numpy(), out=into.numpy())
    else:
        torch.sqrt(values, out=into)


def power(base: float, exponent: int) -> float:
    """base ** exponent in float64, by squaring: the C library's `pow` is not the same everywhere."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def clip(gradient: Tensor, norm: float, largest: float) -> None:
    """Scale a flat float32 gradient of that norm in place, so that its norm is at most `largest`."""
    factor = _single(largest / (norm + 1e-6))
    if factor < 1.0:
        gradient.mul_(factor)


def norm(vector: Tensor) -> float:
    """L2 norm of a flat float32 vector: squares in float64 are exact, halves are folded onto each other, and the
    chunks' sums are added exactly."""
    return _single(math.sqrt(math.fsum(_squares(chunk) for chunk in vector.split(NORM_CHUNK))))


def _squares(chunk: Tensor) -> float:
    values = torch.zeros(NORM_CHUNK, dtype=torch.float64, device=chunk.device)
    values[: len(chunk)] = chunk
    values.mul_(values)
    while len(values) > 1:
        half = len(values) // 2
        values = values[:half] + values[half:]
    return float(values)


def first_adapter(seed: int, name: str, rank: int, width: int) -> Tensor:
    """The first A (rank, width) of an adapter: uniform in ±1/√width, as PEFT draws it (Kaiming with a = √5), from a
    Philox stream (Salmon et al. 2011) of the job's seed and the tensor's name. B begins at zero."""
    stream = np.random.Generator(np.random.Philox(key=derive_seed(seed, "adapter", name)))
    values = (stream.random((rank, width)) * 2.0 - 1.0) * (1.0 / math.sqrt(width))
    return torch.from_numpy(values.astype(np.float32))


def merge_pair(weight: Tensor, low: Tensor, high: Tensor, scale: float) -> Tensor:
    """W + (Σₖ B[:, k]·A[k, :])·(α / rank), float32 (arXiv:2106.09685, eq. 3): the products of the ranks one after the
    other, each multiplication and each addition rounded. weight (out, in), low = A (rank, in), high = B (out, rank).

    The same bytes as `r1net.weights.merge.merge_pair`.
    """
    number, merged = _single(scale), torch.empty(weight.shape, device=weight.device)
    rows = max(1, CHUNK // weight.shape[1])
    total, product = (torch.empty(rows, weight.shape[1], device=weight.device) for _ in range(2))
    for start in range(0, len(weight), rows):
        part = weight[start : start + rows]
        into, step = total[: len(part)], product[: len(part)]
        columns = high[start : start + rows].T.unsqueeze(2)
        torch.mul(columns[0], low[0], out=into)
        for rank in range(1, len(low)):
            torch.mul(columns[rank], low[rank], out=step)
            into.add_(step)
        into.mul_(number)
        torch.add(into, part, out=merged[start : start + rows])
    return merged


def _single(value: float) -> float:
    with np.errstate(over="ignore"):  # too large is infinite, which `Trainer.step` refuses
        return float(np.float32(value))


@cache
def digest_of_a_run() -> str:
    """SHA-256 over what 20 steps, a merge and its cast make of fixed numbers."""
    stream = np.random.Generator(np.random.Philox(key=20251125))
    optimizer = AdamW(Optimizer(learning_rate=1e-3, weight_decay=0.01))
    low, high, bias = first_adapter(7, "low", 8, 300), torch.zeros(70, 8), torch.zeros(70)
    trained = [low, high, bias]
    hashed = hashlib.sha256()
    for flat in _gradients(stream, sum(tensor.numel() for tensor in trained)):
        size = norm(flat)
        clip(flat, size, 1.0)
        optimizer.step(trained, flat.split([tensor.numel() for tensor in trained]), 1e-3)
        hashed.update(np.float64(size).tobytes())
    base = torch.from_numpy(stream.random((70, 300)).astype(np.float32)).to(torch.bfloat16)
    merged = merge_pair(base.float(), low, high, 2.0)
    for tensor in (low, high, bias, merged, merged.to(torch.bfloat16).float()):
        hashed.update(tensor.numpy().tobytes())
    return hashed.hexdigest()


def _gradients(stream: np.random.Generator, size: int) -> Iterator[Tensor]:
    """Of very different sizes, down to numbers that are smaller than a normal float32."""
    for step in range(20):
        scale = 10.0 ** (-2.0 * step)
        yield torch.from_numpy(((stream.random(size) - 0.5) * scale).astype(np.float32))


def require() -> None:
    """Raise PreflightError when this machine's arithmetic is not everybody's: its versions would never be agreed."""
    if digest_of_a_run() != EXPECTED:
        raise PreflightError(
            "this machine does not compute as IEEE-754 says, so no other would agree with its versions",
            hint="something switched flush-to-zero on, or PyTorch is another build: install the pinned packages anew",
        )

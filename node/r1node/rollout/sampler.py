"""Exact seeded sampling, row by row: a sequence's draws depend on its seed alone, not on its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from r1net.protocol.job import Sampling
from r1node.kernels.ops import StepOps, TorchOps

TORCH = TorchOps()
LEAST_SPREAD = 0.05
"""Added to a token's spread (see `Redraw`) where differences are divided by it: a token that the policy is sure of has
a spread near 0, and rounding all the same."""
BLOCK = 128
"""Logits in a run. V / BLOCK and BLOCK values for each row are summed in float64."""


def uniforms(seeds: Sequence[int], steps: int) -> Tensor:
    """(len(seeds), steps) float64 in [0, 1): one Philox stream (Salmon et al. 2011) for each seed."""
    rows = [np.random.Generator(np.random.Philox(key=seed)).random(steps) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def sample(logits: Tensor, u: Tensor, sampling: Sampling, ops: StepOps = TORCH) -> tuple[Tensor, Tensor]:
    """Draw one token for each row by inverting the cumulative distribution.

    `logits`: (N, V), any precision. `u`: (N,) float64 in [0, 1). Returns token ids (N,) and their log-probabilities
    (N,) under the distribution they were drawn from. Temperature 0 takes the arg max and reports its log-probability
    at temperature 1.
    """
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, Blocks.of(logits, 1.0, ops).logprobs(tokens)
    if sampling.top_p == 1 and not 0 < sampling.top_k < logits.shape[-1]:
        blocks = Blocks.of(logits, 1 / sampling.temperature, ops)
        tokens = blocks.draw(u.to(logits.device))
        return tokens, blocks.logprobs(tokens)
    logprobs, cumulative = _distribution(logits.float(), sampling)
    threshold = u.to(cumulative.device)[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


@dataclass(frozen=True)
class Blocks:
    """A softmax in two levels: the mass of each run of BLOCK logits, and inside a run only where a token is drawn.

    The cumulative sums of a whole vocabulary in float64 would cost more than the layer that makes the logits.
    """

    logits: Tensor
    scale: float
    largest: Tensor
    mass: Tensor

    @classmethod
    def of(cls, logits: Tensor, scale: float, ops: StepOps) -> Blocks:
        """One pass over `logits` (N, V), which are multiplied by `scale`."""
        maxima, sums = ops.block_sums(logits, BLOCK, scale)
        largest = maxima.amax(-1, keepdim=True)
        return cls(logits, scale, largest, sums.double() * ((maxima - largest).double() * scale).exp())

    def draw(self, u: Tensor) -> Tensor:
        """The token in whose interval of the cumulative distribution u (N,) falls."""
        cumulative = self.mass.cumsum(-1)
        threshold = u[:, None] * cumulative[:, -1:]
        block = torch.searchsorted(cumulative, threshold, right=True).clamp_(max=cumulative.shape[-1] - 1)
        vocabulary = self.logits.shape[-1]
        places = block * BLOCK + torch.arange(BLOCK, device=block.device)
        inside = (self.logits.gather(-1, places.clamp(max=vocabulary - 1)).float() - self.largest).double()
        before = (cumulative - self.mass).gather(-1, block)
        steps = before + (inside * self.scale).exp().cumsum(-1)
        offset = torch.searchsorted(steps, threshold, right=True).clamp_(max=BLOCK - 1)
        return (block * BLOCK + offset)[:, 0].clamp_(max=vocabulary - 1)

    def logprobs(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (N,) float32 of one token for each row."""
        chosen = self.logits.gather(-1, tokens[:, None]).float() - self.largest
        return (chosen.double() * self.scale - self.mass.sum(-1, keepdim=True).log())[:, 0].float()


@dataclass(frozen=True)
class Redraw:
    """What a distribution says of tokens that were drawn elsewhere, (N,) each.

    `logprobs`: what `sample` would report for them.
    `misses`: the distance in [0, 1] between u and the token's interval of the cumulative distribution, 0 where `sample`
    draws this very token. Rounding moves the ends of the intervals a little, so honest work has small misses where a
    share of exact hits would say less: the more tokens compete, the more often an honest draw falls on a neighbour.
    At temperature 0 it is the probability that the token lacks to the likeliest one.
    `spreads`: standard deviation of the log-probability for independent noise of 1 on every logit, which is
    sqrt((1 - p)² + sum of the others' p²). It puts differences at sure and at unsure tokens on one scale.
    """

    logprobs: Tensor
    misses: Tensor
    spreads: Tensor


def spread(own: Tensor, p: Tensor) -> Tensor:
    """See `Redraw`: of tokens' log-probabilities (N,), from the whole softmax p (N, V)."""
    return (1 - 2 * own.exp() + p.square().sum(-1)).clamp(min=0).sqrt()


def redraw(logits: Tensor, u: Tensor, tokens: Tensor, sampling: Sampling) -> Redraw:
    """Hold `tokens` (N,) against what `sample` draws from these logits with these uniforms."""
    scale = sampling.temperature or 1.0
    plain = (logits / scale).log_softmax(-1)
    own, p = plain.gather(-1, tokens[:, None])[:, 0], plain.exp()
    spreads = spread(own, p) / scale
    if sampling.temperature == 0:
        return Redraw(own, p.amax(-1).double() - own.exp().double(), spreads)
    logprobs, cumulative = _distribution(logits, sampling)
    chosen = logprobs.gather(-1, tokens[:, None])[:, 0]
    upper = cumulative.gather(-1, tokens[:, None])[:, 0] / cumulative[:, -1]
    lower = upper - chosen.exp() / cumulative[:, -1]
    # Rounding decides which tokens stay at the edge of top-k and top-p: one that fell out here may have stayed there.
    return Redraw(torch.where(chosen.isinf(), own, chosen), torch.maximum(lower - u, u - upper).clamp(min=0), spreads)


def _distribution(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, V) float32, and their cumulative sums (N, V) float64, whose last column is 1 but for
    rounding."""
    logprobs = _truncate(logits / sampling.temperature, sampling).log_softmax(-1)
    return logprobs, logprobs.exp().cumsum(-1, dtype=torch.float64)


def _truncate(logits: Tensor, sampling: Sampling) -> Tensor:
    """Top-k, then top-p (arXiv:1904.09751): the smallest set of most likely tokens whose mass reaches p."""
    if 0 < sampling.top_k < logits.shape[-1]:
        kth = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, float("-inf"))
    if sampling.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        mass_before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        dropped = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, mass_before >= sampling.top_p)
        logits = logits.masked_fill(dropped, float("-inf"))
    return logits

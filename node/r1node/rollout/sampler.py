"""The sampling rule gumbel/1, row by row: a sequence's draws depend on its seed alone, not on its batch.

A token is drawn by the Gumbel-max trick (Gumbel 1954; Maddison et al., arXiv:1411.0030) in two levels: the block of
the vocabulary whose log-mass plus noise is largest, then the token of this block whose scaled logit plus noise is.
That is an exact draw, as the product of two, for ⌈V / BLOCK⌉ + BLOCK random numbers instead of V. Rounding of a logit
moves this logit alone: the draw changes only where two candidates came within the rounding of each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from r1net.protocol.job import Sampling
from r1node.kernels.ops import StepOps, TorchOps
from r1node.rollout.noise import BLOCK

TORCH = TorchOps()
LEAST_SPREAD = 0.05
"""Added to a token's spread (see `Redraw`) where differences are divided by it: a token that the policy is sure of has
a spread near 0, and rounding all the same."""


def sample(logits: Tensor, noise: Tensor, sampling: Sampling, ops: StepOps = TORCH) -> tuple[Tensor, Tensor]:
    """Draw one token for each row.

    `logits`: (N, V), any precision. `noise`: (N, width(V)) float64, see `Noise`. Returns token ids (N,) and their
    log-probabilities (N,) under the distribution they were drawn from. Temperature 0 takes the arg max and reports its
    log-probability at temperature 1.
    """
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, Blocks.of(logits, 1.0, ops).logprobs(tokens)
    if _filters(sampling, logits.shape[-1]):
        logits, ops = _truncate(logits.float(), sampling), TORCH
    found = Blocks.of(logits, 1 / sampling.temperature, ops)
    tokens = found.draw(noise.to(logits.device))
    return tokens, found.logprobs(tokens)


@dataclass(frozen=True)
class Blocks:
    """A softmax in two levels: the mass of each block of logits, and inside a block only where a token is drawn.

    `mass`: (N, blocks) float64, beside the largest logit of the row.
    """

    logits: Tensor
    scale: float
    largest: Tensor
    mass: Tensor

    @classmethod
    def of(cls, logits: Tensor, scale: float, ops: StepOps = TORCH) -> Blocks:
        """One pass over `logits` (N, V), which are multiplied by `scale`. A block may be all minus infinity."""
        maxima, sums = ops.block_sums(logits, BLOCK, scale)
        largest = maxima.amax(-1, keepdim=True)
        mass = sums.double() * ((maxima - largest).double() * scale).exp()
        return cls(logits, scale, largest, torch.where(maxima.isneginf(), 0.0, mass))

    def draw(self, noise: Tensor) -> Tensor:
        """The tokens (N,) that noise (N, width) picks."""
        block = self.outer(noise).argmax(-1, keepdim=True)
        return block[:, 0] * BLOCK + self.inner(noise, block).argmax(-1)

    def outer(self, noise: Tensor) -> Tensor:
        """(N, blocks): log-mass and noise of every block."""
        return self.mass.log() + noise[:, : self.mass.shape[-1]]

    def inner(self, noise: Tensor, block: Tensor) -> Tensor:
        """(N, BLOCK): scaled logits and noise in one block (N, 1) for each row."""
        vocabulary, first = self.logits.shape[-1], self.mass.shape[-1]
        places = block * BLOCK + torch.arange(BLOCK, device=block.device)
        inside = (self.logits.gather(-1, places.clamp(max=vocabulary - 1)).float() - self.largest).double()
        inside = inside.masked_fill(places >= vocabulary, float("-inf"))
        return inside * self.scale + noise[:, first : first + BLOCK]

    def logprobs(self, tokens: Tensor) -> Tensor:
        """Log-probabilities (N,) float32 of one token for each row."""
        chosen = self.logits.gather(-1, tokens[:, None]).float() - self.largest
        return (chosen.double() * self.scale - self.mass.sum(-1, keepdim=True).log())[:, 0].float()


@dataclass(frozen=True)
class Redraw:
    """What a distribution says of tokens that were drawn elsewhere, (N,) each.

    `logprobs`: what `sample` would report for them.
    `misses`: by how many nats a token's block and the token in its block lose to the winners, both together; 0 where
    `sample` draws this very token. Honest rounding loses now and then by as much as it moved two logits. A token that
    top-k or top-p drops also misses what its logit lacks to the least that stays. At temperature 0 it is what the
    token's logit lacks to the largest.
    `spreads`: standard deviation of the log-probability for independent noise of 1 on every logit, which is
    sqrt((1 - p)² + sum of the others' p²). It puts differences at sure and at unsure tokens on one scale.
    """

    logprobs: Tensor
    misses: Tensor
    spreads: Tensor


def spread(own: Tensor, p: Tensor) -> Tensor:
    """See `Redraw`: of tokens' log-probabilities (N,), from the whole softmax p (N, V)."""
    return (1 - 2 * own.exp() + p.square().sum(-1)).clamp(min=0).sqrt()


def redraw(logits: Tensor, noise: Tensor, tokens: Tensor, sampling: Sampling) -> Redraw:
    """Hold `tokens` (N,) against what `sample` draws from these logits (N, V) float32 with this noise."""
    scale, column = sampling.temperature or 1.0, tokens[:, None]
    plain = (logits / scale).log_softmax(-1)
    own = plain.gather(-1, column)[:, 0]
    spreads = spread(own, plain.exp()) / scale
    if sampling.temperature == 0:
        return Redraw(own, plain.amax(-1).double() - own.double(), spreads)
    if not _filters(sampling, logits.shape[-1]):
        return Redraw(own, _loss(Blocks.of(logits, 1 / scale), noise, column), spreads)
    kept = _truncate(logits, sampling)
    value = logits.gather(-1, column)
    least = kept.masked_fill(kept.isneginf(), float("inf")).amin(-1, keepdim=True)
    beyond = ((least - value).clamp(min=0) / scale)[:, 0].double()
    # Rounding decides which tokens stay at the edge: one that fell out here may have stayed there.
    found = Blocks.of(kept.scatter(-1, column, value), 1 / scale)
    return Redraw(found.logprobs(tokens), _loss(found, noise, column) + beyond, spreads)


def _loss(found: Blocks, noise: Tensor, column: Tensor) -> Tensor:
    """(N,) nats by which the tokens (N, 1) lose, as `Redraw` has it."""
    block = column // BLOCK
    outer, inner = found.outer(noise), found.inner(noise, block)
    among_blocks = outer.amax(-1) - outer.gather(-1, block)[:, 0]
    return among_blocks + inner.amax(-1) - inner.gather(-1, column - block * BLOCK)[:, 0]


def _filters(sampling: Sampling, vocabulary: int) -> bool:
    return sampling.top_p < 1 or 0 < sampling.top_k < vocabulary


def _truncate(logits: Tensor, sampling: Sampling) -> Tensor:
    """Top-k, then top-p at the sampling's temperature (arXiv:1904.09751): the smallest set of most likely tokens whose
    mass reaches p. The others become minus infinity."""
    if 0 < sampling.top_k < logits.shape[-1]:
        kth = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, float("-inf"))
    if sampling.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        p = (ordered / sampling.temperature).softmax(-1)
        dropped = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, order, p.cumsum(-1) - p >= sampling.top_p)
        logits = logits.masked_fill(dropped, float("-inf"))
    return logits

"""Exact seeded sampling, row by row: a sequence's draws depend on its seed alone, not on its batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from r1net.protocol.job import Sampling


def uniforms(seeds: Sequence[int], steps: int) -> Tensor:
    """(len(seeds), steps) float64 in [0, 1): one Philox stream (Salmon et al. 2011) for each seed."""
    rows = [np.random.Generator(np.random.Philox(key=seed)).random(steps) for seed in seeds]
    return torch.from_numpy(np.stack(rows))


def sample(logits: Tensor, u: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Draw one token for each row by inverting the cumulative distribution.

    `logits`: (N, V) float32. `u`: (N,) float64 in [0, 1). Returns token ids (N,) and their log-probabilities (N,)
    under the distribution they were drawn from. Temperature 0 takes the arg max and reports its log-probability
    at temperature 1.
    """
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    logprobs = _truncate(logits / sampling.temperature, sampling).log_softmax(-1)
    cumulative = logprobs.exp().cumsum(-1, dtype=torch.float64)
    threshold = u.to(cumulative.device)[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, threshold, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


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

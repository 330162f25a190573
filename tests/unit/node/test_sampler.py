"""Sampling against the exact distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from r1net.protocol.job import Sampling
from r1node.rollout.noise import BLOCK, CHUNK, Noise, Stream, width
from r1node.rollout.sampler import Redraw, redraw, sample

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0, 1.5, 0.9])
DRAWS = 20_000


def exact(sampling: Sampling) -> torch.Tensor:
    """The distribution by its definition, token by token."""
    weights = (LOGITS.double() / sampling.temperature).softmax(-1)
    order = weights.argsort(descending=True)
    kept = order[: sampling.top_k] if sampling.top_k else order
    nucleus, mass = [], 0.0
    renormalised = weights / weights[kept].sum()
    for token in kept.tolist():
        if mass >= sampling.top_p:
            break
        nucleus.append(token)
        mass += float(renormalised[token])
    out = torch.zeros_like(weights)
    out[nucleus] = weights[nucleus]
    return out / out.sum()


def draw(logits: torch.Tensor, sampling: Sampling, draws: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws from the same logits: of every seed the first CHUNK tokens."""
    seeds = draws // CHUNK
    noise = Noise(range(seeds), len(logits))
    parts = [sample(logits.expand(seeds, -1), noise.at(torch.arange(seeds), t), sampling) for t in range(CHUNK)]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.6),
        Sampling(temperature=1.7),
        Sampling(top_k=3),
        Sampling(top_p=0.7),
        Sampling(temperature=0.8, top_k=5, top_p=0.9),
    ],
    ids=str,
)
def test_draws_follow_the_exact_distribution(sampling: Sampling) -> None:
    tokens, logprobs = draw(LOGITS, sampling, DRAWS)
    expected = exact(sampling)
    counts = torch.bincount(tokens, minlength=len(LOGITS))
    support = expected > 0
    assert int(counts[~support].sum()) == 0
    assert chisquare(counts[support].numpy(), (expected[support] * DRAWS).numpy()).pvalue > 1e-4
    assert torch.allclose(logprobs.double(), expected[tokens].log(), atol=1e-5)


def test_a_draw_over_many_blocks_follows_the_distribution() -> None:
    logits = torch.linspace(0, 3, 5 * BLOCK + 7)[torch.randperm(5 * BLOCK + 7, generator=torch.manual_seed(0))]
    tokens, logprobs = draw(logits, Sampling(temperature=0.8), DRAWS)
    expected = (logits.double() / 0.8).softmax(-1)
    assert torch.allclose(logprobs.double(), expected[tokens].log(), atol=1e-5)
    # Of 647 tokens with about 30 draws each, and of their blocks with thousands.
    assert chisquare(torch.bincount(tokens, minlength=len(logits)).numpy(), (expected * DRAWS).numpy()).pvalue > 1e-4
    blocks = torch.arange(len(logits)) // BLOCK
    mass = torch.zeros(6, dtype=torch.double).index_add(0, blocks, expected)
    assert chisquare(torch.bincount(tokens // BLOCK, minlength=6).numpy(), (mass * DRAWS).numpy()).pvalue > 1e-4


def test_streams_are_named_by_their_seed_alone() -> None:
    together, alone = Noise([4, 8, 15], 300), Stream(8, 300)
    assert torch.equal(together.at(torch.tensor([1]), 6)[0], torch.from_numpy(alone.at(6)))
    late = alone.at(5 * CHUNK + 3).copy()
    assert not np.array_equal(late, alone.at(3))
    assert np.array_equal(late, Stream(8, 300).at(5 * CHUNK + 3))  # in whatever order they are asked for
    together.release(1)
    assert torch.equal(together.at(torch.tensor([1]), torch.tensor([6]))[0], torch.from_numpy(alone.at(6)))


def test_the_noise_is_the_stated_stream() -> None:
    """gumbel/1 is a promise: whoever checks in years must find the same values."""
    size = width(1000)
    assert (size, size % 4) == (136, 0)
    words = np.random.Generator(np.random.Philox(key=2**53 - 1)).random(40 * size).reshape(40, size)
    stream = Stream(2**53 - 1, 1000)
    for step in (0, 39, 8, 7):
        assert np.array_equal(stream.at(step), -np.log(-np.log(words[step])))
    assert Stream(1, 8).at(0)[:3].tolist() == pytest.approx([-0.1757580, 1.8076498, -0.6189815], abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**53 - 1), st.integers(1, 300), st.sampled_from([0.05, 1.0, 4.0]), st.sampled_from([0, 1, 7]))
def test_every_stream_gives_a_token(seed: int, size: int, temperature: float, top_k: int) -> None:
    logits = torch.linspace(-40, 40, size)[None]
    noise = Noise([seed], size).at(torch.tensor([0]), 0)
    token, logprob = sample(logits, noise, Sampling(temperature=temperature, top_k=top_k))
    assert 0 <= int(token) < size
    assert -1e3 < float(logprob) <= 1e-6
    if top_k == 1:
        assert int(token) == size - 1


def lost(logits: torch.Tensor, tokens: torch.Tensor, sampling: Sampling) -> Redraw:
    noise = Noise([3], logits.shape[-1]).at(torch.zeros(len(tokens), dtype=torch.long), 0)
    return redraw(logits.expand(len(tokens), -1), noise, tokens, sampling)


def test_raising_a_token_by_what_it_lost_makes_it_the_draw() -> None:
    logits, sampling = torch.randn(BLOCK, generator=torch.manual_seed(2)), Sampling(temperature=0.7)
    misses = lost(logits, torch.arange(BLOCK), sampling).misses
    assert int((misses == 0).sum()) == 1
    for token, miss in enumerate(misses.tolist()):
        for beside, drawn in ((-1e-3, False), (1e-3, True)):
            raised = logits.clone()
            raised[token] += 0.7 * miss + beside
            assert (float(lost(raised, torch.tensor([token]), sampling).misses) == 0) == (drawn or miss == 0)


def test_a_token_beyond_the_filters_misses_what_it_lacks_to_stay() -> None:
    sampling = Sampling(top_k=3)
    beyond = lost(LOGITS, torch.tensor([5]), sampling)
    assert float(beyond.misses) >= 1.0 - -3.0  # the third largest is 1.0
    assert torch.isfinite(beyond.logprobs).all()

"""Sampling against the exact distribution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from r1net.protocol.job import Sampling
from r1node.rollout.sampler import sample, uniforms

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
    u = uniforms(range(DRAWS), 1)[:, 0]
    tokens, logprobs = sample(LOGITS.expand(DRAWS, -1), u, sampling)
    expected = exact(sampling)
    counts = torch.bincount(tokens, minlength=len(LOGITS))
    support = expected > 0
    assert int(counts[~support].sum()) == 0
    assert chisquare(counts[support].numpy(), (expected[support] * DRAWS).numpy()).pvalue > 1e-4
    assert torch.allclose(logprobs.double(), expected[tokens].log(), atol=1e-5)


def test_streams_are_named_by_their_seed_alone() -> None:
    assert torch.equal(uniforms([4, 8, 15], 7)[1], uniforms([8], 7)[0])
    assert torch.equal(uniforms([8], 20)[0, :7], uniforms([8], 7)[0])


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(2, 50))
def test_every_uniform_gives_a_token(u: float, size: int) -> None:
    logits = torch.linspace(-40, 40, size)[None]
    token, logprob = sample(logits, torch.tensor([u], dtype=torch.float64), Sampling())
    assert 0 <= int(token) < size
    assert float(logprob) <= 1e-6

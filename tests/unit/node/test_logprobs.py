"""The hand-made last layer against autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1node.training import logprobs
from r1node.training.logprobs import selected_logprobs


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 12), vocabulary=st.integers(2, 30), chunk=st.integers(1, 5), seed=st.integers(0, 99))
def test_values_and_gradients_are_autograds(
    temperature: float, rows: int, vocabulary: int, chunk: int, seed: int
) -> None:
    torch.manual_seed(seed)
    hidden = torch.randn(rows, 8, requires_grad=True)
    head = torch.randn(vocabulary, 8, requires_grad=True)
    targets, weights = torch.randint(0, vocabulary, (rows,)), torch.randn(rows)
    before = logprobs.CHUNK
    logprobs.CHUNK = chunk
    try:
        chosen, entropy = selected_logprobs(hidden, targets, head, temperature)
        made = torch.autograd.grad((chosen * weights).sum(), (hidden, head))
    finally:
        logprobs.CHUNK = before
    full = (hidden @ head.T / (temperature or 1.0)).log_softmax(-1)
    expected = full.gather(1, targets[:, None])[:, 0]
    plain = torch.autograd.grad((expected * weights).sum(), (hidden, head), retain_graph=True)
    assert torch.allclose(chosen, expected, atol=1e-5)
    assert torch.allclose(entropy, -(full.exp() * full).sum(-1), atol=1e-4)
    for a, b in zip(made, plain, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, head = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    chosen, _ = selected_logprobs(hidden, torch.tensor([0, 1, 4]), head, 1.0)
    chosen.sum().backward()
    assert hidden.grad is not None
    assert head.grad is None

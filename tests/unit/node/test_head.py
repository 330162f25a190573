"""The last layer by hand against autograd over whole logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1node.kernels.train_ops import NativeTrainOps, TorchTrainOps, TrainOps
from r1node.training import head as module
from r1node.training.head import EmbeddingHead

OPS = pytest.mark.parametrize("ops", [TorchTrainOps(), NativeTrainOps(torch.float32)], ids=["torch", "C"])


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CPU_PART", 7)


def whole(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    return (hidden @ weight.T / (temperature or 1.0)).log_softmax(-1).gather(1, targets[:, None])[:, 0]


@OPS
@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(1, 20),
    vocabulary=st.integers(2, 40),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    seed=st.integers(0, 2**32),
)
def test_equals_autograd(ops: TrainOps, count: int, vocabulary: int, temperature: float, seed: int) -> None:
    torch.manual_seed(seed)
    hidden, weight = torch.randn(count, 9, requires_grad=True), torch.randn(vocabulary, 9, requires_grad=True)
    targets, coefficients = torch.randint(0, vocabulary, (count,)), torch.randn(count)
    expected = whole(hidden, weight, targets, temperature)
    by_hidden, by_weight = torch.autograd.grad((expected * coefficients).sum(), (hidden, weight))

    gradient = torch.zeros_like(weight)
    head = EmbeddingHead(temperature, ops, weight.detach(), gradient)
    scores = head.forward(hidden.detach(), targets)
    ours = head.backward(hidden.detach(), targets, scores, coefficients)
    torch.testing.assert_close(scores.logprobs, expected.detach(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(ours, by_hidden, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, by_weight, atol=1e-4, rtol=1e-4)
    logits = (hidden @ weight.T).detach() / (temperature or 1.0)
    torch.testing.assert_close(
        scores.entropy, torch.distributions.Categorical(logits=logits).entropy(), atol=1e-5, rtol=1e-4
    )


@OPS
def test_extreme_logits_stay_finite(ops: TrainOps) -> None:
    weight = torch.tensor([[1e4], [-1e4], [0.0]])
    head = EmbeddingHead(1.0, ops, weight, torch.zeros_like(weight))
    hidden, targets = torch.ones(2, 1), torch.tensor([0, 1])
    scores = head.forward(hidden, targets)
    assert scores.logprobs.tolist() == [0.0, -2e4]
    assert bool(torch.isfinite(head.backward(hidden, targets, scores, torch.ones(2))).all())

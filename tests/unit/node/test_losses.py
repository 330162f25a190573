"""Every loss and its gradient against a plain implementation in Python floats, and against TRL's formulas."""

from __future__ import annotations

import math
import statistics
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r1net.protocol.job import Baseline, Grpo, ImportanceLevel, ImportanceMode, KlEstimator, LossName, RewardScale
from r1node.training.advantages import STD_EPSILON, advantages
from r1node.training.importance import importance_weights
from r1node.training.losses import clips, kl_estimate, kl_loss, policy_loss, token_weights

LOSSES: tuple[LossName, ...] = ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
MAX_TOKENS = 7

logprob = st.floats(-6, -0.01)
quick = settings(max_examples=60, deadline=None)


@st.composite
def rounds(draw: Any) -> dict[str, Any]:
    """Log-probabilities new and old, lengths and advantages of a small round."""
    count = draw(st.integers(1, 4))
    lengths = [draw(st.integers(1, MAX_TOKENS)) for _ in range(count)]
    near = st.floats(-0.6, 0.6)
    new = [[draw(logprob) for _ in range(length)] for length in lengths]
    return {
        "new": new,
        "old": [[value + draw(near) for value in row] for row in new],
        "advantages": [draw(st.floats(-3, 3)) for _ in range(count)],
        "low": draw(st.floats(0.05, 0.5)),
        "high": draw(st.floats(0.05, 0.5)),
        "dual": draw(st.none() | st.floats(1.5, 4)),
    }


def padded(rows: list[list[float]]) -> Tensor:
    out = torch.zeros(len(rows), MAX_TOKENS, dtype=torch.float64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = torch.tensor(row, dtype=torch.float64)
    return out


def plain_token(
    loss: LossName, ratio: float, advantage: float, new: float, case: dict[str, Any]
) -> tuple[float, float]:
    """One token's loss and its derivative by the ratio's logarithm, by hand."""
    if loss == "cispo":
        weight = min(ratio, 1 + case["high"])
        return -weight * advantage * new, -weight * advantage
    bounded = min(max(ratio, 1 - case["low"]), 1 + case["high"])
    moving = ratio * advantage <= bounded * advantage
    value = ratio * advantage if moving else bounded * advantage
    slope = ratio * advantage if moving else 0.0
    if case["dual"] is not None and advantage < 0 and value < case["dual"] * advantage:
        value, slope = case["dual"] * advantage, 0.0
    return -value, -slope


def plain(loss: LossName, case: dict[str, Any]) -> tuple[float, list[list[float]]]:
    """The round's loss and its gradient by every log-probability."""
    lengths = [len(row) for row in case["new"]]
    total, gradient = 0.0, []
    for new, old, advantage in zip(case["new"], case["old"], case["advantages"], strict=True):
        logs = [a - b for a, b in zip(new, old, strict=True)]
        if loss == "gspo":
            logs = [statistics.fmean(logs)] * len(logs)
        weight = {
            "grpo": 1 / len(new) / len(lengths),
            "gspo": 1 / len(new) / len(lengths),
            "dr_grpo": 1 / (len(lengths) * MAX_TOKENS),
        }.get(loss, 1 / sum(lengths))
        row = []
        for log, value in zip(logs, new, strict=True):
            token, slope = plain_token(loss, math.exp(log), advantage, value, case)
            total += weight * token
            row.append(weight * slope)
        gradient.append(row)
    return total, gradient


def ours(loss: LossName, case: dict[str, Any]) -> tuple[float, Tensor]:
    stage = Grpo(rounds=1, loss=loss, clip_low=case["low"], clip_high=case["high"], dual_clip=case["dual"])
    new = padded(case["new"]).requires_grad_()
    mask = padded([[1.0] * len(row) for row in case["new"]])
    values = torch.tensor(case["advantages"], dtype=torch.float64)
    tokens = int(mask.sum())
    share = token_weights(loss, mask, tokens, len(case["new"]), MAX_TOKENS)
    total = (policy_loss(stage, new, padded(case["old"]), values, mask) * share).sum()
    (gradient,) = torch.autograd.grad(total, new)
    return float(total.detach()), gradient


@pytest.mark.parametrize("loss", LOSSES)
@quick
@given(case=rounds())
def test_loss_and_gradient_equal_the_plain_ones(loss: LossName, case: dict[str, Any]) -> None:
    value, gradient = ours(loss, case)
    expected, slopes = plain(loss, case)
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert torch.allclose(gradient, padded(slopes), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@quick
@given(case=rounds(), cut=st.integers(0, 4))
def test_a_round_cut_in_two_adds_up(loss: LossName, case: dict[str, Any], cut: int) -> None:
    """With the whole round's counts, the losses of two shares sum to that of the round."""
    stage = Grpo(rounds=1, loss=loss, clip_low=case["low"], clip_high=case["high"])
    new, old = padded(case["new"]), padded(case["old"])
    mask = padded([[1.0] * len(row) for row in case["new"]])
    values = torch.tensor(case["advantages"], dtype=torch.float64)

    def part(rows: slice) -> float:
        share = token_weights(loss, mask[rows], int(mask.sum()), len(new), MAX_TOKENS)
        return float((policy_loss(stage, new[rows], old[rows], values[rows], mask[rows]) * share).sum())

    whole = part(slice(None))
    assert part(slice(None, cut)) + part(slice(cut, None)) == pytest.approx(whole, rel=1e-10, abs=1e-12)


def test_on_policy_every_loss_is_plain_policy_gradient() -> None:
    """At ratio 1 nothing is clipped: the gradient is the weight times the advantage."""
    new = torch.tensor([[-1.0, -2.0], [-0.5, -0.7]], dtype=torch.float64, requires_grad=True)
    mask, values = torch.ones(2, 2, dtype=torch.float64), torch.tensor([1.5, -0.5], dtype=torch.float64)
    for loss in LOSSES:
        stage = Grpo(rounds=1, loss=loss)
        share = token_weights(loss, mask, 4, 2, 2)
        total = (policy_loss(stage, new, new.detach(), values, mask) * share).sum()
        (gradient,) = torch.autograd.grad(total, new)
        assert torch.allclose(gradient, -values[:, None] / 4 * mask)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("baseline", ["group", "leave_one_out"])
@quick
@given(rewards=st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=8))
def test_advantages(baseline: Baseline, scale: RewardScale, rewards: list[float]) -> None:
    values = advantages(torch.tensor([rewards], dtype=torch.float64), baseline, scale, round_std=0.7)[0].tolist()
    for number, (reward, value) in enumerate(zip(rewards, values, strict=True)):
        others = rewards[:number] + rewards[number + 1 :]
        expected = reward - statistics.fmean(others if baseline == "leave_one_out" else rewards)
        if scale != "none":
            expected /= (0.7 if scale == "batch" else statistics.stdev(rewards)) + STD_EPSILON
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    if len(set(rewards)) == 1:
        assert all(abs(value) < 1e-9 for value in values)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
@quick
@given(case=rounds(), cap=st.floats(0.5, 3))
def test_importance_weights(level: ImportanceLevel, mode: ImportanceMode, case: dict[str, Any], cap: float) -> None:
    mask = padded([[1.0] * len(row) for row in case["new"]])
    made = importance_weights(padded(case["new"]), padded(case["old"]), mask, level, mode, cap)
    for row, (new, old) in enumerate(zip(case["new"], case["old"], strict=True)):
        logs = [a - b for a, b in zip(new, old, strict=True)]
        for column in range(len(logs)):
            ratio = math.exp(sum(logs) if level == "sequence" else logs[column])
            expected = min(ratio, cap) if mode == "truncate" else (ratio if ratio <= cap else 0.0)
            if abs(ratio - cap) > 1e-9:
                assert float(made[row, column]) == pytest.approx(expected, rel=1e-10)
    assert bool((importance_weights(padded(case["new"]), padded(case["old"]), mask, level, mode, 0) == 1).all())


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_kl_estimators_estimate_the_divergence(estimator: KlEstimator) -> None:
    """Against the exact divergence of two close distributions, by exact expectation over all tokens."""
    torch.manual_seed(0)
    base = torch.randn(50, dtype=torch.float64)
    policy = (base + 0.05 * torch.randn(50, dtype=torch.float64)).log_softmax(0)
    reference = base.log_softmax(0)
    exact = float((policy.exp() * (policy - reference)).sum())
    estimate = float((policy.exp() * kl_estimate(policy, reference, estimator)).sum())
    assert estimate == pytest.approx(exact, rel=1e-9 if estimator != "k2" else 0.1)
    if estimator != "k1":
        assert bool((kl_estimate(policy, reference, estimator) >= 0).all())


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_divergence_as_a_loss_has_the_divergences_gradient(estimator: KlEstimator, drift: float) -> None:
    """By exact expectation over all tokens of the policy that sampled, which may not be the one in training."""
    torch.manual_seed(0)
    weights = torch.randn(50, dtype=torch.float64, requires_grad=True)
    policy, reference = weights.log_softmax(0), torch.randn(50, dtype=torch.float64).log_softmax(0)
    old = (weights.detach() + drift * torch.randn(50, dtype=torch.float64)).log_softmax(0)
    (exact,) = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), weights, retain_graph=True)
    loss = (old.exp() * kl_loss(policy, old, reference, estimator)).sum()
    (found,) = torch.autograd.grad(loss, weights)
    assert torch.allclose(found, exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", get_args(LossName))
def test_clips_are_where_the_gradient_is_lost(loss: LossName) -> None:
    """A token counts as clipped exactly where its loss has no gradient; CISPO never loses one and counts its bound."""
    stage = Grpo(rounds=1, loss=loss)
    ratios = torch.tensor([[0.5], [1.0], [2.0]] * 2, dtype=torch.float64)
    advantages = torch.tensor([1.0] * 3 + [-1.0] * 3, dtype=torch.float64)
    logprobs, old, mask = ratios.log().requires_grad_(), torch.zeros_like(ratios), torch.ones_like(ratios)
    (slope,) = torch.autograd.grad(policy_loss(stage, logprobs, old, advantages, mask).sum(), logprobs)
    low, high = clips(stage, logprobs.detach(), old, advantages, mask)
    assert high[:, 0].tolist() == [False, False, True, False, False, False]
    if loss == "cispo":
        assert not bool(low.any())
    else:
        assert low[:, 0].tolist() == [False, False, False, True, False, False]
        assert torch.equal((slope == 0), low | high)

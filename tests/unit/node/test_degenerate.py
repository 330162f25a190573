"""Rounds at the edge: rewards that are missing or all equal, groups of two, one token, nothing at all. Never a NaN."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from r1net.protocol.job import Baseline, Grpo, ImportanceLevel, ImportanceMode, KlEstimator, LossName, RewardScale
from r1node.training.advantages import STD_EPSILON, advantages
from r1node.training.importance import importance_weights
from r1node.training.losses import kl_estimate, policy_loss, token_weights

NONE = math.nan
every_baseline = pytest.mark.parametrize("baseline", get_args(Baseline))
every_scale = pytest.mark.parametrize("scale", get_args(RewardScale))
every_loss = pytest.mark.parametrize("loss", get_args(LossName))


def of(*rewards: float, baseline: Baseline = "group", scale: RewardScale = "group", std: float = 0.5) -> list[float]:
    made: list[float] = advantages(torch.tensor([rewards], dtype=torch.float64), baseline, scale, std)[0].tolist()
    return made


@every_baseline
@every_scale
@pytest.mark.parametrize(
    "rewards",
    [(0.1, 0.1, 0.1), (NONE, NONE, NONE), (NONE, 1.0, NONE), (NONE, 0.7, 0.7), (1e9, 1e9, 1e9)],
    ids=["all equal", "all None", "one scored", "the others equal", "large"],
)
def test_nothing_to_compare_is_advantage_zero(
    rewards: tuple[float, ...], baseline: Baseline, scale: RewardScale
) -> None:
    assert of(*rewards, baseline=baseline, scale=scale) == [0.0] * 3
    assert of(*rewards, baseline=baseline, scale=scale, std=0.0) == [0.0] * 3


@every_baseline
@every_scale
def test_without_the_unscored_a_group_is_the_smaller_one(baseline: Baseline, scale: RewardScale) -> None:
    assert of(1.0, NONE, 0.0, 0.25, baseline=baseline, scale=scale) == pytest.approx(
        [(whole := of(1.0, 0.0, 0.25, baseline=baseline, scale=scale))[0], 0.0, *whole[1:]], abs=1e-15
    )


def test_a_group_of_two() -> None:
    half = 0.5 / (math.sqrt(0.5) + STD_EPSILON)
    assert of(1.0, 0.0) == pytest.approx([half, -half])
    assert of(1.0, 0.0, baseline="leave_one_out", scale="none") == [1.0, -1.0]
    assert of(1.0, 0.0, scale="batch", std=0.25) == pytest.approx([0.5 / 0.2501, -0.5 / 0.2501])


def rows(*lengths: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities and mask; padding holds zeros, as the trainer lays it out."""
    mask = (torch.arange(3)[None] < torch.tensor(lengths)[:, None]).double()
    return torch.full_like(mask, -0.5) * mask, mask


@every_loss
def test_one_token_completions_weigh_alike(loss: LossName) -> None:
    """Every loss is the mean over completions; dr_grpo divides by the length limit as well."""
    _, mask = rows(1, 1)
    share = token_weights(loss, mask, tokens=2, sequences=2, max_tokens=3)
    assert share[:, 0].tolist() == pytest.approx([1 / 6 if loss == "dr_grpo" else 1 / 2] * 2)
    assert float(share[:, 1:].sum()) == 0.0


@every_loss
def test_an_empty_completion_weighs_nothing_and_a_truncated_one_like_any_other(loss: LossName) -> None:
    """Row 0 is empty, row 1 ends by itself, row 2 fills the whole width, as one that was cut off does."""
    new, mask = rows(0, 2, 3)
    new.requires_grad_()
    stage = Grpo(rounds=1, loss=loss, dual_clip=3.0)
    values = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    share = token_weights(loss, mask, tokens=5, sequences=3, max_tokens=3)
    total = (policy_loss(stage, new, new.detach(), values, mask) * share).sum()
    (gradient,) = torch.autograd.grad(total, new)
    assert not bool(gradient[0].any())
    assert torch.allclose(gradient, -values[:, None] * share)
    sums = {"dr_grpo": [0, 2 / 9, 3 / 9], "grpo": [0, 1 / 3, 1 / 3], "gspo": [0, 1 / 3, 1 / 3]}
    assert share.sum(1).tolist() == pytest.approx(sums.get(loss, [0, 2 / 5, 3 / 5]))


@every_loss
def test_a_round_without_tokens_has_loss_and_gradient_zero(loss: LossName) -> None:
    new, mask = rows(0, 0)
    new.requires_grad_()
    share = token_weights(loss, mask, tokens=0, sequences=0, max_tokens=3)
    total = (policy_loss(Grpo(rounds=1, loss=loss), new, new.detach(), torch.zeros(2).double(), mask) * share).sum()
    (gradient,) = torch.autograd.grad(total, new)
    assert float(total.detach()) == 0.0
    assert not bool(gradient.any())


@pytest.mark.parametrize("level", get_args(ImportanceLevel))
@pytest.mark.parametrize("mode", get_args(ImportanceMode))
def test_padding_does_not_move_importance_weights(level: ImportanceLevel, mode: ImportanceMode) -> None:
    """An empty completion's ratio is 1, whatever stands on its padding."""
    new, mask = rows(0, 1, 3)
    sampler = torch.where(mask.bool(), new - math.log(1.5), torch.full_like(new, 40.0))
    made = importance_weights(new, sampler, mask, level, mode, cap=2.0)
    assert made[0].tolist() == [1.0] * 3
    assert float(made[1, 0]) == pytest.approx(1.5)
    whole = 1.5 if level == "token" else (2.0 if mode == "truncate" else 0.0)
    assert made[2].tolist() == pytest.approx([whole] * 3)


@pytest.mark.parametrize("estimator", get_args(KlEstimator))
def test_equal_policies_diverge_by_nothing(estimator: KlEstimator) -> None:
    new, _ = rows(0, 1, 3)
    assert not bool(kl_estimate(new, new, estimator).any())

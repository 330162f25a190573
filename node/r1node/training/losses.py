"""Policy losses as pure functions of per-token log-probabilities.

Shape letters: N completions, T completion tokens (padded); `mask_NT` is 1 on real tokens. All log-probabilities in
nats. Every loss is returned for each token; `token_weights` says how they are summed, so that a round's gradient is
the same however it is cut into micro-batches and nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from r1net.protocol.job import Grpo, KlEstimator, LossName


def policy_loss(stage: Grpo, logprobs_NT: Tensor, old_NT: Tensor, advantages_N: Tensor, mask_NT: Tensor) -> Tensor:
    """The stage's loss for each token (N, T), not yet weighted."""
    if stage.loss == "cispo":
        return cispo(logprobs_NT, old_NT, advantages_N, stage.clip_high)
    gspo = stage.loss == "gspo"
    ratios = sequence_ratio(logprobs_NT, old_NT, mask_NT) if gspo else (logprobs_NT - old_NT).exp()
    return clipped(ratios, advantages_N, stage.clip_low, stage.clip_high, stage.dual_clip)


def clips(
    stage: Grpo, logprobs_NT: Tensor, old_NT: Tensor, advantages_N: Tensor, mask_NT: Tensor
) -> tuple[Tensor, Tensor]:
    """Which tokens' ratios lie below and above the stage's bounds where that takes their gradient, two of (N, T) bool.

    CISPO has an upper bound only.
    """
    up, down = advantages_N[:, None] > 0, advantages_N[:, None] < 0
    if stage.loss == "cispo":
        high = ((logprobs_NT - old_NT).exp() > 1 + stage.clip_high) & up
        return torch.zeros_like(high), high
    gspo = stage.loss == "gspo"
    ratios = sequence_ratio(logprobs_NT, old_NT, mask_NT) if gspo else (logprobs_NT - old_NT).exp()
    return (ratios < 1 - stage.clip_low) & down, (ratios > 1 + stage.clip_high) & up


def clipped(ratios_NT: Tensor, advantages_N: Tensor, low: float, high: float, dual: float | None = None) -> Tensor:
    """PPO's clipped surrogate, negated (arXiv:1707.06347, eq. 7), with DAPO's two bounds (arXiv:2503.14476, eq. 8).

    `dual` bounds the loss of a negative advantage at dual · |A| (dual-clip PPO, arXiv:1912.09729, eq. 5).
    """
    advantages = advantages_N[:, None]
    objective = torch.minimum(ratios_NT * advantages, ratios_NT.clamp(1 - low, 1 + high) * advantages)
    if dual is not None:
        objective = torch.where(advantages < 0, torch.maximum(objective, dual * advantages), objective)
    return -objective


def sequence_ratio(logprobs_NT: Tensor, old_NT: Tensor, mask_NT: Tensor) -> Tensor:
    """GSPO-token's ratio (arXiv:2507.18071, eq. 14): the sequence's length-normalised one, its gradient the token's.

    The value is exp(mean over the sequence of log π - log π_old) at every token, eq. 7.
    """
    lengths = mask_NT.sum(-1, keepdim=True).clamp(min=1)
    mean = ((logprobs_NT - old_NT) * mask_NT).sum(-1, keepdim=True) / lengths
    return (mean.detach() + logprobs_NT - logprobs_NT.detach()).exp()


def cispo(logprobs_NT: Tensor, old_NT: Tensor, advantages_N: Tensor, high: float) -> Tensor:
    """CISPO (arXiv:2506.13585, eq. 4): the ratio is clipped and held fixed, so that no token loses its gradient."""
    weights = (logprobs_NT - old_NT).exp().clamp(max=1 + high).detach()
    return -weights * advantages_N[:, None] * logprobs_NT


def token_weights(loss: LossName, mask_NT: Tensor, tokens: int, sequences: int, max_tokens: int) -> Tensor:
    """How much each token counts (N, T). `tokens` and `sequences` count the whole round, on all nodes.

    grpo, gspo     mean over each sequence, then over sequences (arXiv:2402.03300, eq. 3)
    dapo, cispo    mean over all tokens of the round (arXiv:2503.14476, eq. 8)
    dr_grpo        sum over tokens divided by a constant, sequences · max_tokens (arXiv:2503.20783, eq. 2)
    """
    if loss in ("grpo", "gspo"):
        return mask_NT / mask_NT.sum(-1, keepdim=True).clamp(min=1) / max(sequences, 1)
    if loss == "dr_grpo":
        return mask_NT / max(sequences * max_tokens, 1)
    return mask_NT / max(tokens, 1)


def kl_estimate(logprobs_NT: Tensor, reference_NT: Tensor, estimator: KlEstimator) -> Tensor:
    """Schulman's estimators of KL(π ‖ π_ref) from samples of π, for each token (http://joschu.net/blog/kl-approx.html).

    k1 = log r, unbiased; k2 = (log r)² / 2, biased, low variance; k3 = 1/r - 1 + log r, unbiased, never negative;
    with r = π / π_ref.
    """
    log_ratio = logprobs_NT - reference_NT
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio.square() / 2
    return (-log_ratio).exp() - 1 + log_ratio


def kl_loss(logprobs_NT: Tensor, old_NT: Tensor, reference_NT: Tensor, estimator: KlEstimator) -> Tensor:
    """The divergence as a loss, for each token: its mean gradient over samples of π_old is that of KL(π ‖ π_ref).

    The estimates' own gradients are not: k1's is zero in the mean, k3's that of KL(π_ref ‖ π). Times the ratio of the
    policies, gradient included, both are right (arXiv:2512.02556, section 3.1); k2's is right as it stands, and needs
    the ratio only to weigh samples of another policy.
    """
    ratios = (logprobs_NT - old_NT).exp()
    estimate = kl_estimate(logprobs_NT, reference_NT, estimator)
    return estimate * (ratios.detach() if estimator == "k2" else ratios)

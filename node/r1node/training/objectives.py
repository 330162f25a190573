"""What is learnt from tokens: every stage is a way to give each token of a completion its loss.

The trainer sees a table of log-probabilities and asks for the round's loss as a function of it; the derivative is one
coefficient for each token, which is all that the last layer and the layers below get to see. N completions, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from r1net.protocol.job import Grpo
from r1node.training.divergence import DivergenceKind
from r1node.training.importance import importance_weights
from r1node.training.losses import clips, kl_estimate, kl_loss, policy_loss, token_weights
from r1node.training.meters import Meters
from r1node.training.model import TrainingModel


@dataclass(frozen=True)
class Tokens:
    """A micro-batch's completions. `logprobs_NT`: the policy's, to be differentiated; `other_NT`: those of the frozen
    policy that the objective compares with; all in nats, 0 on padding, where `mask_NT` is 0."""

    logprobs_NT: Tensor
    sampler_NT: Tensor
    advantages_N: Tensor
    mask_NT: Tensor
    other_NT: Tensor | None


class Objective(Protocol):
    """`other`: a frozen policy to compare with. `divergence`: which divergence from it, over the whole vocabulary, is
    added at each token (the sum over the tokens counted by `token_share`)."""

    @property
    def other(self) -> TrainingModel | None: ...
    @property
    def divergence(self) -> DivergenceKind | None: ...

    def loss(self, tokens: Tokens, meters: Meters) -> Tensor:
        """The micro-batch's part of the round's loss, a scalar; the parts of all micro-batches and nodes add up."""
        ...

    def token_share(self, mask_NT: Tensor) -> Tensor:
        """How much of the round's loss each token is, (N, T)."""
        ...


@dataclass(frozen=True)
class PolicyGradient:
    """A GRPO stage: clipped surrogate, importance weights against the sampler's numerics, divergence in the loss.

    `tokens` and `sequences` count the completions of the whole round on all nodes.
    """

    stage: Grpo
    tokens: int
    sequences: int
    max_tokens: int
    other: TrainingModel | None = None
    divergence: DivergenceKind | None = None

    def loss(self, tokens: Tokens, meters: Meters) -> Tensor:
        """See `Objective.loss`."""
        stage, mask, logprobs = self.stage, tokens.mask_NT, tokens.logprobs_NT
        old = logprobs.detach()  # one update a round: the policy that is trained is the one that sampled
        weights = importance_weights(
            old, tokens.sampler_NT, mask, stage.importance, stage.importance_mode, stage.importance_cap
        )
        loss = policy_loss(stage, logprobs, old, tokens.advantages_N, mask) * weights
        real = mask.bool()
        meters.ratios(weights[real])
        meters.clipping(*(clipped[real] for clipped in clips(stage, logprobs.detach(), old, tokens.advantages_N, mask)))
        if tokens.other_NT is not None:
            estimate = kl_estimate(old, tokens.other_NT, stage.kl_estimator)
            meters.add("kl", float((estimate * mask).sum()), float(mask.sum()))
            loss = loss + stage.kl_coef * kl_loss(logprobs, old, tokens.other_NT, stage.kl_estimator)
        return (loss * self.token_share(mask)).sum()

    def token_share(self, mask_NT: Tensor) -> Tensor:
        """See `Objective.token_share`."""
        return token_weights(self.stage.loss, mask_NT, self.tokens, self.sequences, self.max_tokens)


@dataclass(frozen=True)
class CrossEntropy:
    """Supervised fine-tuning on the completions: the mean over `tokens`, all of the round, of -log π(token).

    A sample's `advantage` weighs it; 1 for all is the plain mean. No teacher; also the way to learn from rejection
    sampling, where it is 1 for what was kept.
    """

    tokens: int
    other: TrainingModel | None = None
    divergence: DivergenceKind | None = None

    def loss(self, tokens: Tokens, meters: Meters) -> Tensor:
        """See `Objective.loss`."""
        loss = -tokens.logprobs_NT * tokens.advantages_N[:, None]
        return (loss * self.token_share(tokens.mask_NT)).sum()

    def token_share(self, mask_NT: Tensor) -> Tensor:
        """See `Objective.token_share`."""
        return mask_NT / max(self.tokens, 1)


@dataclass(frozen=True)
class Distillation:
    """Learning a teacher's whole distribution at each token of the completions, whoever wrote them.

    divergence  "forward": KL(teacher ‖ policy), covers all that the teacher does (arXiv:1503.02531, section 2)
                "reverse": KL(policy ‖ teacher), keeps to what it does most (arXiv:2306.08543, eq. 1); on the policy's
                own completions it is on-policy distillation (GKD, arXiv:2306.13649, eq. 4, with λ = 1)
    `other` is the teacher, over the same vocabulary; `tokens` counts the round's completion tokens.
    """

    tokens: int
    other: TrainingModel
    divergence: DivergenceKind

    def loss(self, tokens: Tokens, meters: Meters) -> Tensor:
        """Nothing of it hangs on the chosen tokens alone."""
        return (tokens.logprobs_NT * 0.0).sum()

    def token_share(self, mask_NT: Tensor) -> Tensor:
        """See `Objective.token_share`."""
        return mask_NT / max(self.tokens, 1)


@dataclass(frozen=True)
class SampledDistillation:
    """On-policy distillation from the sampled tokens alone: the policy gradient whose advantage at each token is
    log π_teacher - log π, an unbiased estimate of the reverse divergence's gradient (arXiv:2306.13649, section 3).

    Needs no teacher logits, so that a teacher may be a service that returns log-probabilities.
    """

    tokens: int
    other: TrainingModel
    divergence: DivergenceKind | None = None

    def loss(self, tokens: Tokens, meters: Meters) -> Tensor:
        """See `Objective.loss`."""
        assert tokens.other_NT is not None
        gain = tokens.other_NT - tokens.logprobs_NT.detach()
        meters.add("kl", -float((gain * tokens.mask_NT).sum()), float(tokens.mask_NT.sum()))
        return -(gain * tokens.logprobs_NT * self.token_share(tokens.mask_NT)).sum()

    def token_share(self, mask_NT: Tensor) -> Tensor:
        """See `Objective.token_share`."""
        return mask_NT / max(self.tokens, 1)

"""What a job comes to in tokens, and what it pays when its submitter says only what it may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from r1net.deterrence import NEW_FACTOR
from r1net.protocol.job import Evaluation, Grpo, JobSpec, Prices, Sampling, Verification


@dataclass(frozen=True)
class Tokens:
    """Completion tokens of a job, by what is paid for them."""

    sampled: int
    trained: int
    verified: int

    @property
    def whole(self) -> int:
        """All of them."""
        return self.sampled + self.trained + self.verified

    def cost(self, prices: Prices) -> int:
        """What they cost, in wei."""
        rates = (prices.rollout_token, prices.trained_token, prices.verified_token)
        return sum(count * rate for count, rate in zip((self.sampled, self.trained, self.verified), rates, strict=True))

    def scaled(self, share: float) -> Tokens:
        """The same work with shorter completions."""
        return Tokens(*(math.ceil(count * share) for count in (self.sampled, self.trained, self.verified)))


def most_tokens(stage: Grpo, sampling: Sampling, evaluation: Evaluation, verification: Verification) -> Tokens:
    """The most tokens that a job can come to, when nothing is done again.

    Dynamic sampling may draw several times what is trained on; held-out completions are sampled twice. What is sampled
    is repeated as often as that of new owners. What is trained may be repeated whole: a gradient of a small job is
    worth so much of its host's stake that each has to be (`r1net.deterrence`).
    """
    trained = stage.rounds * stage.groups_per_round * stage.group_size * sampling.max_tokens
    heldout = 2 * evaluation.problems * evaluation.sampling.max_tokens
    sampled = trained * stage.dynamic_sampling + heldout
    new = min(1.0, verification.rate_of("rollout") * NEW_FACTOR)
    shares = ((sampled, new), (trained, float(verification.rate_of("training") > 0)))
    return Tokens(sampled, trained, sum(math.ceil(tokens * share) for tokens, share in shares))


def round_cost(spec: JobSpec) -> int:
    """What sampling and training of one round and one evaluation cost at their longest, in wei."""
    stage, heldout, prices = spec.stage, spec.evaluation, spec.prices
    trained = stage.groups_per_round * stage.group_size * spec.sampling.max_tokens
    sampled = trained * stage.dynamic_sampling + heldout.problems * heldout.sampling.max_tokens
    return sampled * prices.rollout_token + trained * prices.trained_token


def spread(budget: int, stage: Grpo, sampling: Sampling, evaluation: Evaluation, verification: Verification) -> Prices:
    """Prices at which the job's largest possible number of tokens costs no more than `budget`.

    A trained token, a sampled one and a repeated one are paid alike. Still more comes of work that is found bad, which
    is judged twice and done again: a job whose budget is spent waits for more. What is left is refunded.
    """
    price = budget // max(most_tokens(stage, sampling, evaluation, verification).whole, 1)
    return Prices(rollout_token=price, trained_token=price, verified_token=price)

"""What a job comes to in tokens, and what it pays when its submitter says only what it may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from r1net.protocol.job import Evaluation, Grpo, Prices, Sampling, Verification


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

    Dynamic sampling may draw several times what is trained on; held-out completions are sampled twice. Of what is
    sampled and trained the share that is drawn is repeated.
    """
    trained = stage.rounds * stage.groups_per_round * stage.group_size * sampling.max_tokens
    heldout = 2 * evaluation.problems * evaluation.sampling.max_tokens
    sampled = trained * stage.dynamic_sampling + heldout
    shares = ((sampled, verification.rate_of("rollout")), (trained, verification.rate_of("training")))
    return Tokens(sampled, trained, sum(math.ceil(tokens * share) for tokens, share in shares))


def spread(budget: int, stage: Grpo, sampling: Sampling, evaluation: Evaluation, verification: Verification) -> Prices:
    """Prices at which the job's largest possible number of tokens costs no more than `budget`.

    A trained token, a sampled one and a repeated one are paid alike. More may be repeated than the shares that a job
    names, because owners are new or have failed, and because what is found bad is judged twice and done again: a budget
    that is spent ends the job, and actual completions are shorter than the longest.
    """
    price = budget // max(most_tokens(stage, sampling, evaluation, verification).whole, 1)
    return Prices(rollout_token=price, trained_token=price, verified_token=price)

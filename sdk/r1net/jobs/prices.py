"""What a job pays, when its submitter says only what it may cost."""

from __future__ import annotations

import math

from r1net.protocol.job import Evaluation, Grpo, Prices, Sampling, Verification


def spread(budget: int, stage: Grpo, sampling: Sampling, evaluation: Evaluation, verification: Verification) -> Prices:
    """Prices at which the job's largest possible number of tokens costs no more than `budget`.

    A trained token, a sampled one and a repeated one are paid alike. Dynamic sampling may draw several times what is
    trained on; held-out completions are sampled twice. Of what is sampled and trained the share that is drawn is
    repeated. More may be, because owners are new or have failed, and because what is found bad is judged twice and done
    again: a budget that is spent ends the job, and actual completions are shorter than the longest.
    """
    trained = stage.rounds * stage.groups_per_round * stage.group_size * sampling.max_tokens
    heldout = 2 * evaluation.problems * evaluation.sampling.max_tokens
    sampled = trained * stage.dynamic_sampling + heldout
    shares = ((sampled, verification.rate_of("rollout")), (trained, verification.rate_of("training")))
    checked = sum(math.ceil(tokens * share) for tokens, share in shares)
    price = budget // max(trained + sampled + checked, 1)
    return Prices(rollout_token=price, trained_token=price, verified_token=price)

"""Why a submission is refused, in machine words."""

CONTENT = (
    "bad_signature",
    "wrong_job",
    "wrong_policy",
    "wrong_worker",
    "wrong_prompt",
    "wrong_seed",
    "reward_mismatch",
    "bad_length",
    "bad_token",
    "bad_finish",
    "bad_logprob",
    "incomplete_group",
)
"""Faults of the content: an honest node never makes them."""

OWN_REWARD = "own_reward_mismatch"
"""A reward of the job's own came to something else here. That may lie in its code or in this machine as well as in the
node: it costs no standing."""

REFUSED = (*CONTENT, OWN_REWARD)
"""All that ends a rollout's lease. Too many, and the worker is left out of the job."""

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
"""Faults of the content: an honest node never makes them. Too many, and the worker is left out of the job."""

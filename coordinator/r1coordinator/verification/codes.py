"""Why a submission is refused, in machine words."""

from typing import Literal, get_args

Content = Literal[
    "bad_signature",
    "wrong_job",
    "wrong_policy",
    "wrong_worker",
    "wrong_prompt",
    "wrong_seed",
    "wrong_reply",
    "reward_mismatch",
    "bad_length",
    "bad_token",
    "bad_finish",
    "bad_logprob",
    "incomplete_group",
]
Own = Literal["own_reward_mismatch", "own_reply_mismatch"]

CONTENT: tuple[str, ...] = get_args(Content)
"""Faults of the content: an honest node never makes them."""

OWN: tuple[str, ...] = get_args(Own)
"""Code of the job's own came to something else here. That may lie in the code or in this machine as well as in the
node: it costs no standing."""

REFUSED = (*CONTENT, *OWN)
"""All that ends a rollout's lease. Too many, and the worker is left out of the job."""

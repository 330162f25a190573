"""What the demo trains, by profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1net import R1, Evaluation, Lora, Optimizer, Sampling, Verification
from tests.e2e.demo import tiny
from tests.e2e.demo.smollm2 import smollm2


@dataclass(frozen=True)
class Profile:
    """A model and the arguments of `Client.train`."""

    name: str
    model: Callable[[Path], Path]
    job: dict[str, Any] = field(default_factory=dict)
    budget: int = 1000 * R1
    nodes: int = 2
    challenge_window: int = 20
    """Seconds in which the watcher audits an epoch before a robber can have it paid."""
    commit_period: int = 40
    """Seconds in which a juror loads the model and repeats the disputed work, beside hosts that train."""
    reveal_period: int = 8
    """Seconds in which a juror shows its vote, while it may be judging another dispute beside hosts that train."""


SMOLLM2 = Profile(
    name="smollm2",
    model=smollm2,
    commit_period=150,
    reveal_period=30,
    job={
        "name": "SmolLM2 learns sums",
        "environment": "reasoning_gym:chain_sum",
        "environment_config": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
        "prefill": "The answer is",
        "rounds": 24,
        "groups_per_round": 32,
        "group_size": 8,
        "sampling": Sampling(max_tokens=10),
        "optimizer": Optimizer(learning_rate=5e-4),
        "lora": Lora(rank=16, alpha=32),
        "dtype": "bfloat16",
        "verification": Verification(rate=0.25, training_rate=0.25),
        "evaluation": Evaluation(problems=256, sampling=Sampling(temperature=0.0, max_tokens=10)),
    },
)
"""Two-term sums of one- and two-digit numbers. The chat template is followed by the words that the answer begins with:
the model knows some of the sums, and how to say them briefly it has to learn."""

TINY = Profile(
    name="tiny",
    model=tiny.tiny_model,
    job={
        "name": "a tiny model drops a habit",
        "environment": tiny.ENVIRONMENT,
        "environment_config": tiny.CONFIG,
        "prompt": tiny.PROMPT,
        "rounds": 8,
        "groups_per_round": 16,
        "group_size": 8,
        "sampling": Sampling(max_tokens=6),
        "optimizer": Optimizer(learning_rate=2e-4, warmup_rounds=2),
        "verification": Verification(rate=0.25, training_rate=0.25),
        "evaluation": Evaluation(problems=64, sampling=Sampling(temperature=0.0, max_tokens=6)),
    },
)

PROFILES = {profile.name: profile for profile in (SMOLLM2, TINY)}

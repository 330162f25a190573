"""What can be refused of a job from its specification alone: one list of rules, which SDK, estimate and coordinator
share, so that nobody pays for a job that is then refused. What needs the model's files is in `r1net.probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from r1net.amounts import about
from r1net.environments.places import heldout_counts
from r1net.errors import UsageError
from r1net.jobs.prices import round_cost
from r1net.protocol.job import JobSpec
from r1net.rewards import RewardSet
from r1net.sandbox.own import check_own
from r1net.sandbox.own_tool import check_turns

MOST_LEARNING_RATE = 0.01
"""A step of AdamW moves each weight by about the learning rate, and a model's weights are about 0.02 large."""
LEAST_TEMPERATURE = 0.01
LEAST_TOP_P = 0.01
"""Below these the likeliest token is drawn nearly always."""
_FLAT = "all completions of a group would be the same, and GRPO learns from how they differ"

Rule = Callable[[JobSpec], None]


def require_sensible(spec: JobSpec, r1: bool = True) -> None:
    """Raise UsageError where a job can't be worked on, or would be paid for in vain. `r1` tells that it is paid in R1,
    for the words."""
    for _, error in faults(spec, r1):
        raise error


def faults(spec: JobSpec, r1: bool = True) -> Iterator[tuple[str, UsageError]]:
    """What is wrong with a job, each with the word by which a program knows the rule."""
    for code, rule in _rules(r1):
        try:
            rule(spec)
        except UsageError as error:
            yield code, error


def _rules(r1: bool) -> tuple[tuple[str, Rule], ...]:
    return (
        ("unknown_reward", lambda spec: _ignore(RewardSet(spec.rewards))),
        ("unknown_tool", lambda spec: None if spec.turns is None else check_turns(spec.turns)),
        ("bad_reward", _rewards),
        ("bad_name", _name),
        ("bad_environment", lambda spec: _ignore(heldout_counts(spec))),
        ("nothing_to_learn", _sampling),
        ("nothing_to_learn", _weights),
        ("bad_optimizer", _optimizer),
        ("budget_too_small", lambda spec: _budget(spec, r1)),
    )


def _ignore(_: object) -> None:
    """What was made only to see whether it can be."""


def _rewards(spec: JobSpec) -> None:
    for reward in spec.rewards:
        check_own(reward)


def _name(spec: JobSpec) -> None:
    if not spec.name.strip():
        raise UsageError("the job's name is blank", hint="give it a name, or leave name= out")
    if not spec.name.isprintable():
        raise UsageError("the job's name holds characters that can't be shown", hint="write it on one line")


def _sampling(spec: JobSpec) -> None:
    sampling = spec.sampling
    if sampling.temperature < LEAST_TEMPERATURE:
        said = f"sampling.temperature {sampling.temperature:g}"
        raise UsageError(f"{said}: {_FLAT}", hint="train at 1.0; only evaluations are greedy")
    if sampling.top_k == 1:
        raise UsageError(f"sampling.top_k 1: {_FLAT}", hint="leave top_k out, or take at least 2")
    if sampling.top_p < LEAST_TOP_P:
        raise UsageError(f"sampling.top_p {sampling.top_p:g}: {_FLAT}", hint="leave top_p out, or take 0.9")


def _weights(spec: JobSpec) -> None:
    if not any(reward.weight for reward in spec.rewards):
        raise UsageError("every reward has the weight 0: there is nothing to learn", hint="give one of them a weight")


def _optimizer(spec: JobSpec) -> None:
    rate, decay = spec.optimizer.learning_rate, spec.optimizer.weight_decay
    if rate > MOST_LEARNING_RATE:
        raise UsageError(
            f"optimizer.learning_rate {rate:g} would destroy the model: each step moves every weight by so much",
            hint=f"1e-6 to 1e-4 are usual, 1e-3 with LoRA; at most {MOST_LEARNING_RATE:g} is taken",
        )
    if rate * decay >= 1:
        raise UsageError(
            f"optimizer.weight_decay {decay:g} takes all of the weights away in one step", hint="0 to 0.1 are usual"
        )


def _budget(spec: JobSpec, r1: bool) -> None:
    cost = round_cost(spec)
    if cost > spec.budget:
        raise UsageError(
            f"the budget is {about(spec.budget, r1)}, but one round with its evaluation may cost {about(cost, r1)}: "
            "the prices times the most tokens",
            hint="leave prices= out, lower them, or raise the budget: what is not spent comes back",
        )

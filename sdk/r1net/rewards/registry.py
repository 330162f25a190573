"""Rewards by name: the one place where a name becomes a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from r1net.environments.base import Environment, Problem
from r1net.errors import UsageError
from r1net.protocol.job import RewardSpec
from r1net.rewards.base import Completion, RewardFactory, RewardFunction
from r1net.rewards.code import code
from r1net.rewards.tagged import correct, exact, format_

_REWARDS: dict[str, RewardFactory] = {"correct": correct, "format": format_, "exact": exact, "code": code}

_OUTSIDE = ("code",)
"""Rewards that are no function of a completion here: they run programs."""

VERIFYING = ("correct", "exact")
"""The rewards that compare with a problem's solution."""


def computed_outside(spec: RewardSpec) -> bool:
    """Whether a reward is computed in processes of its own (`r1net.sandbox.owned`), not with the others."""
    return spec.code is not None or spec.name in _OUTSIDE


def names() -> list[str]:
    """Every registered reward."""
    return sorted(_REWARDS)


def make(spec: RewardSpec) -> RewardFunction:
    """A registered reward with its settings. Raises UsageError on an unknown name, and on settings that it refuses."""
    factory = _REWARDS.get(spec.name)
    if factory is None:
        raise UsageError(f"unknown reward {spec.name!r}", hint=f"use one of {', '.join(names())}")
    try:
        return factory(spec.config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the reward {spec.name!r} refuses its settings: {where}: {first['msg']}") from error


class RewardSet:
    """A job's rewards, made once. Raises UsageError like `make`."""

    def __init__(self, specs: Sequence[RewardSpec]) -> None:
        self._specs = tuple(specs)
        made = {spec.name: make(spec) for spec in self._specs if spec.code is None}
        self._functions = {spec.name: made[spec.name] for spec in self._specs if not computed_outside(spec)}

    def parts(self, environment: Environment, problem: Problem, completion: Completion) -> dict[str, float | None]:
        """The marks of the registered rewards; a job's own are given elsewhere (`r1net.sandbox`)."""
        return {name: mark(environment, problem, completion) for name, mark in self._functions.items()}


def total(specs: Sequence[RewardSpec], parts: Mapping[str, float | None]) -> float | None:
    """The weighted sum of the parts that apply; None where none does."""
    sums = [spec.weight * part for spec in specs if (part := parts[spec.name]) is not None]
    return sum(sums) if sums else None


def solved(parts: Mapping[str, float | None]) -> bool | None:
    """Whether a verifier gave full marks (the accuracy that evaluations report): a registered one that compares with
    the solution, or, in a job that has none, one of the submitter's own.

    None where the job's verifiers say nothing of this problem. A job without a verifier solves nothing.
    """
    registered = [name for name in (*VERIFYING, *_OUTSIDE) if name in parts]
    verifying = registered or [name for name in parts if name not in _REWARDS]
    given = [mark for name in verifying if (mark := parts[name]) is not None]
    return None if verifying and not given else any(mark >= 1.0 for mark in given)

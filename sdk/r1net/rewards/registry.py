"""Rewards by name: the one place where a name becomes a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from r1net.environments.base import Environment, Problem
from r1net.errors import UsageError
from r1net.faults import in_words, nearest
from r1net.protocol.job import RewardSpec
from r1net.rewards.base import Completion, RewardFactory, RewardFunction, RewardSettings
from r1net.rewards.code import CodeSettings
from r1net.rewards.composite import combined, multiplied, summed
from r1net.rewards.cosine import cosine, scaled
from r1net.rewards.instructions import instructions
from r1net.rewards.language import language
from r1net.rewards.length import length
from r1net.rewards.mathematics import mathematics
from r1net.rewards.repetition import repetition
from r1net.rewards.tagged import correct, exact, format_
from r1net.rewards.tags import tag_count

VERIFYING = ("correct", "exact", "math")
"""The rewards that compare with a problem's solution: 1 is full marks."""

_OUTSIDE: dict[str, type[RewardSettings]] = {"code": CodeSettings}
"""Rewards that are no function of a completion here, with their settings: they run programs."""

_LEVELS, _MOST_PARTS = 4, 64


def computed_outside(spec: RewardSpec) -> bool:
    """Whether a reward is computed in processes of its own (`r1net.sandbox.owned`), not with the others."""
    return spec.code is not None or spec.name in _OUTSIDE


def names() -> list[str]:
    """Every registered reward."""
    return sorted({*_REWARDS, *_OUTSIDE})


def make(spec: RewardSpec) -> RewardFunction:
    """A registered reward with its settings. Raises UsageError on an unknown name, on settings that it refuses, and on
    what runs code, which can't be a part of another reward."""
    if computed_outside(spec):
        raise UsageError(f"the reward {spec.name!r} runs code, and stands for itself: no other has it as a part")
    factory = _REWARDS.get(spec.name)
    if factory is None:
        raise UsageError(f"unknown reward {spec.name!r}", hint=nearest(spec.name, names()))
    with _in_words(spec):
        return factory(spec.config)


@contextmanager
def _in_words(spec: RewardSpec) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise in_words(error, of=f"the reward {spec.name!r} refuses its settings") from error


_REWARDS: dict[str, RewardFactory] = {
    "correct": correct,
    "cosine": cosine(make),
    "exact": exact,
    "format": format_,
    "instructions": instructions,
    "language": language,
    "length": length,
    "math": mathematics,
    "product": multiplied(make),
    "repetition": repetition,
    "sum": summed(make),
    "tag_count": tag_count,
}

_PARTS: dict[str, Callable[[dict[str, Any]], Sequence[RewardSpec]]] = {
    "cosine": scaled,
    "product": combined,
    "sum": combined,
}
"""What the rewards that are made of others are made of, by their settings."""


def flattened(specs: Sequence[RewardSpec]) -> list[RewardSpec]:
    """Rewards with all that they are made of, the whole before its parts.

    Raises UsageError on settings that a reward refuses, and on more parts or levels than anybody needs: a stranger
    writes them, and they are read outside the sandbox too.
    """
    found, level = list[RewardSpec](), list(specs)
    for _ in range(_LEVELS):
        found += level
        level = [part for spec in level for part in _parts_of(spec)]
        if len(found) + len(level) > _MOST_PARTS:
            raise UsageError(f"the rewards have more than {_MOST_PARTS} parts")
    if level:
        raise UsageError(f"the rewards have parts of parts in more than {_LEVELS} levels")
    return found


def _parts_of(spec: RewardSpec) -> Sequence[RewardSpec]:
    if spec.code is not None or spec.name not in _PARTS:
        return ()
    with _in_words(spec):
        return _PARTS[spec.name](spec.config)


def verifiers(specs: Sequence[RewardSpec]) -> list[RewardSpec]:
    """The verifying rewards among these and their parts, each once."""
    found = {spec.name: spec for spec in flattened(specs) if spec.code is None}
    return [found[name] for name in VERIFYING if name in found]


class RewardSet:
    """A job's rewards, made once. Raises UsageError like `make`."""

    def __init__(self, specs: Sequence[RewardSpec]) -> None:
        flattened(specs)
        self._specs = tuple(specs)
        for spec in self._specs:
            if spec.code is None and spec.name in _OUTSIDE:
                with _in_words(spec):
                    _OUTSIDE[spec.name].model_validate(spec.config)
        self._functions = {spec.name: make(spec) for spec in self._specs if not computed_outside(spec)}

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

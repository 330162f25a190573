"""What an environment is: a source of problems, each with a verifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Problem:
    """One problem. `entry` is whatever the environment's verifier needs to score an answer.

    `answer` is the reference answer; None where the environment has none and its verifier takes any solution.
    """

    question: str
    answer: str | None
    entry: dict[str, Any] = field(repr=False, compare=False)


class Environment(Protocol):
    """What made a problem, and knows whether an answer is right."""

    def verify(self, problem: Problem, answer: str) -> float:
        """Score of an answer in [0, 1]."""
        ...


class Generator(Environment, Protocol):
    """Problems as a pure function of a seed, and their verifier."""

    def problem(self, seed: int) -> Problem:
        """The problem that `seed` names; the same on every machine."""
        ...

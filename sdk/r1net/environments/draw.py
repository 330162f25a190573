"""Which problem a group gets: a pure function of (job seed, split, round, group), so nobody can pick easy ones."""

from __future__ import annotations

from functools import cached_property

from r1net.environments.base import Problem
from r1net.environments.registry import load_environment
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.seeds import derive_seed
from r1net.protocol.trace import Split

_TRIES = 1000


class Draw:
    """The problems of one job. Held-out questions never appear in training rounds: a clash is drawn again."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self.environment = load_environment(spec.environment)

    @cached_property
    def heldout(self) -> list[Problem]:
        """The evaluation problems, all different."""
        problems: dict[str, Problem] = {}
        for number in range(self._spec.evaluation.problems * _TRIES):
            if len(problems) == self._spec.evaluation.problems:
                break
            problem = self.environment.problem(derive_seed(self._spec.seed, "heldout", number))
            problems.setdefault(problem.question, problem)
        if len(problems) < self._spec.evaluation.problems:
            raise UsageError(
                f"{self._spec.environment.name} has only {len(problems)} different problems with these settings",
                hint="ask for fewer held-out problems or widen the environment's settings",
            )
        return list(problems.values())

    @cached_property
    def _heldout_questions(self) -> frozenset[str]:
        return frozenset(problem.question for problem in self.heldout)

    def problem(self, split: Split, round_: int, group: int) -> Problem:
        """The problem of one group."""
        if split == "heldout":
            return self.heldout[group]
        for attempt in range(_TRIES):
            problem = self.environment.problem(derive_seed(self._spec.seed, "draw", round_, group, attempt))
            if problem.question not in self._heldout_questions:
                return problem
        raise UsageError(
            f"{self._spec.environment.name}: every problem is held out", hint="ask for fewer held-out problems"
        )


def sampling_seed(spec: JobSpec, split: Split, round_: int, group: int, index: int) -> int:
    """The sampler's seed for one completion: it doesn't depend on the batch it is decoded in."""
    return derive_seed(spec.seed, "sample", split, round_, group, index, bits=53)

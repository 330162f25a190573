"""Which problem a group gets: a pure function of (job seed, split, round, group), so nobody can pick easy ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from r1net.environments.base import Environment, Problem
from r1net.environments.curriculum import Mix
from r1net.environments.places import RowPlace, heldout_counts, leaf_of, row_in
from r1net.environments.registry import load_environment
from r1net.environments.rows import Rows
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.seeds import derive_seed
from r1net.protocol.trace import Split

_TRIES = 1000
_AGAIN = 20
"""How many times over as many problems as there were must come again, none of them new, before no more are looked for.
With one left among n, all equally likely, that happens once in e^20 times."""

Lines = Callable[[RowPlace], str]
"""Brings the line of a row."""


class Draw:
    """The problems of one job. Held-out questions never appear in training rounds: a clash is drawn again, and of rows
    the data set says which are held out.

    `lines` brings the rows of jobs that have some, `mix` the weights of jobs with a curriculum.
    """

    def __init__(self, spec: JobSpec, lines: Lines | None = None, mix: Mix | None = None) -> None:
        self._spec, self._lines, self._mix = spec, lines, mix
        self.leaves = tuple(self._load(leaf, number) for number, leaf in enumerate(spec.environment.leaves))
        heldout_counts(spec)

    def environment(self, split: Split, round_: int, group: int) -> Environment:
        """What made a group's problem, and verifies answers to it."""
        leaf = self.leaves[self.leaf(split, round_, group)]
        return leaf if isinstance(leaf, Rows) else leaf.environment

    def leaf(self, split: Split, round_: int, group: int) -> int:
        """The number of the environment that a group is drawn from."""
        return leaf_of(self._spec, split, round_, group, self._mix)

    def problem(self, split: Split, round_: int, group: int) -> Problem:
        """The problem of one group."""
        return self.problem_of(self.leaf(split, round_, group), split, round_, group)

    def problem_of(self, number: int, split: Split, round_: int, group: int) -> Problem:
        """The problem of one group that is drawn from the environment with this number."""
        row = row_in(self._spec, number, split, round_, group)
        leaf = self.leaves[number]
        if isinstance(leaf, Rows):
            assert row is not None, "rows are drawn by their place"
            if self._lines is None:
                raise UsageError("the job's rows are not here")
            return leaf.read(self._lines(row), row.number)
        if split == "heldout":
            return leaf.heldout[group - sum(heldout_counts(self._spec)[:number])]
        return leaf.problem(round_, group)

    @property
    def heldout(self) -> list[Problem]:
        """The evaluation problems, all different where they are generated."""
        return [self.problem("heldout", 0, number) for number in range(self._spec.evaluation.problems)]

    def _load(self, leaf: EnvironmentSpec, number: int) -> Rows | _Generated:
        return _Generated(self._spec, leaf, number) if leaf.data is None else Rows(leaf)


class _Generated:
    """The problems that one generator makes for a job."""

    def __init__(self, spec: JobSpec, leaf: EnvironmentSpec, number: int) -> None:
        self._spec, self._name, self._number = spec, leaf.name, number
        self._path: tuple[str | int, ...] = (number,) if spec.environment.parts else ()
        self.environment = load_environment(leaf)

    @cached_property
    def heldout(self) -> list[Problem]:
        """The held-out problems, all different."""
        wanted = heldout_counts(self._spec)[self._number]
        problems: dict[str, Problem] = {}
        number = misses = 0
        while len(problems) < wanted and misses < _TRIES + _AGAIN * len(problems):
            problem = self.environment.problem(derive_seed(self._spec.seed, "heldout", *self._path, number))
            misses = misses + 1 if problem.question in problems else 0
            problems.setdefault(problem.question, problem)
            number += 1
        if len(problems) < wanted:
            raise UsageError(
                f"{self._name} has only {len(problems)} different problems with these settings",
                hint="ask for fewer held-out problems or widen the environment's settings",
            )
        return list(problems.values())

    @cached_property
    def _heldout_questions(self) -> frozenset[str]:
        return frozenset(problem.question for problem in self.heldout)

    def problem(self, round_: int, group: int) -> Problem:
        """The problem of a group in training."""
        for attempt in range(_TRIES):
            problem = self.environment.problem(derive_seed(self._spec.seed, "draw", round_, group, attempt))
            if problem.question not in self._heldout_questions:
                return problem
        raise UsageError(f"{self._name}: every problem is held out", hint="ask for fewer held-out problems")


def sampling_seed(spec: JobSpec, split: Split, round_: int, group: int, index: int) -> int:
    """The sampler's seed for one completion: it doesn't depend on the batch it is decoded in."""
    return derive_seed(spec.seed, "sample", split, round_, group, index, bits=53)

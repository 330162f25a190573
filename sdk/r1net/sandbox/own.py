"""A job's own reward function: what it gives for completions, group by group, each in a process of its own.

reward = OwnReward(pool, job, spec, open)
marks = reward.grade([[Call(prompt, completion, columns), …], …])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from r1net.errors import UsageError
from r1net.protocol.job import RewardSpec
from r1net.rewards import names
from r1net.sandbox.function import USUAL, Outcome, OwnFunction, Said, Surroundings
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.stranger import LARGEST
from r1net.sandbox.wheels import Open, check_code


class _Mark(Said):
    """A mark; None where the function does not apply."""

    value: float | None = Field(default=None, ge=-LARGEST, le=LARGEST)


@dataclass(frozen=True)
class Call:
    """What the function is called with for one completion; a column is a keyword with one value. `answer`: what of the
    completion counts as its answer, which the reward `code` reads."""

    prompt: Any
    completion: Any
    columns: dict[str, Any]
    answer: str = ""


@dataclass(frozen=True)
class OwnMark:
    """What the function gave for one completion: a mark, None where it does not apply, or why there is none.

    `fault`: the function's own, which is its job's; the group's later completions have it, too. `over`: it took too
    long, so that `value` is the job's `on_timeout`. `doubtful`: so near to that, that another machine may have found
    it over and given `late`.
    """

    value: float | None = None
    over: bool = False
    doubtful: bool = False
    fault: str | None = None
    late: float = 0.0

    def agrees(self, other: OwnMark) -> bool:
        """Whether one function can have given both: the same to the last bit, unless time ran out for one of them."""
        if (self.over or other.over) and self.doubtful and other.doubtful:
            return True
        return (self.value, self.fault) == (other.value, other.fault)

    @property
    def words(self) -> str:
        """What it is, for people."""
        return self.fault or ("nothing" if self.value is None else f"{self.value:.17g}")


def check_own(spec: RewardSpec) -> None:
    """Whether a reward of the job's own can be taken, before its files are here. Raises UsageError."""
    if spec.code is None:
        return
    if spec.name in names():
        raise UsageError(f"{spec.name!r} is the name of a registered reward", hint="give your own another name")
    if spec.config:
        raise UsageError(f"the reward {spec.name!r} is the job's own: it takes no settings")
    check_code(spec.code)


class OwnReward:
    """One reward of a job that brings its own code; see `OwnFunction` for its arguments and for what methods raise."""

    def __init__(
        self, pool: SandboxPool, job: str, spec: RewardSpec, open_: Open, around: Surroundings = USUAL
    ) -> None:
        assert spec.code is not None, "a reward of the job's own"
        self.name, self._spec, self._late = spec.name, spec, spec.code.on_timeout
        self._function = OwnFunction(pool, job, f"the reward {spec.name!r}", spec.code, open_, "grade", _Mark, around)
        self.limits = self._function.limits

    def check(self) -> None:
        """Unpack and load it. Raises UsageError when that fails."""
        check_own(self._spec)
        self._function.check()

    def grade(self, groups: Sequence[Sequence[Call]]) -> list[list[OwnMark]]:
        """The marks of groups of completions. Raises UsageError when the file itself can't be loaded."""
        calls = [
            [{"prompt": call.prompt, "completion": call.completion, "columns": call.columns} for call in group]
            for group in groups
        ]
        found = self._function.call(calls, forgiving=False)
        return [[self._mark(outcome) for outcome in group] for group in found]

    def _mark(self, outcome: Outcome[_Mark]) -> OwnMark:
        if outcome.over:
            return OwnMark(self._late, over=True, doubtful=True, late=self._late)
        value = outcome.said.value if outcome.said else None
        return OwnMark(value, doubtful=outcome.doubtful, fault=outcome.fault, late=self._late)

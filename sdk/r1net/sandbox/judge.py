"""The reward `code`: whether the program in an answer passes its problem's tests, each program in a fresh process.

The tests run in a process of their own; here calls and results are carried between the two, as bytes that nobody reads.
See `programs` for why a program cannot talk itself into a mark.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r1net.protocol.job import RewardSpec
from r1net.rewards.code import CodeSettings
from r1net.sandbox.own import Call, OwnMark
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import Child, Ended, Zygote
from r1net.sandbox.program_processes import program_limits, program_wall, programs

_MOST_CALLS = 20_000
_MOST_TESTS = 1000


class _Said(BaseModel):
    """What one of the two processes says, a stranger both."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    error: str | None = Field(default=None, max_length=100)
    printed: str = ""
    seconds: float = Field(default=0.0, ge=0)
    call: str | None = Field(default=None, max_length=200)
    passed: int = Field(default=0, ge=0)
    fault: str | None = Field(default=None, max_length=400)


@dataclass(frozen=True)
class Tests:
    """A problem's tests: sources that call the program, or inputs with the output that each should print.

    `entry_point`: the only name that is the program's; where there is none, all that the tests do not define.
    """

    sources: tuple[str, ...] = ()
    setup: str = ""
    entry_point: str | None = None
    printing: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, columns: dict[str, Any]) -> Tests | None:
        """Those of a problem's columns; None where it has none that are known.

        `test` with `entry_point` is HumanEval's form (arXiv:2107.03374): `check(entry_point)` is called. `tests` or
        `test_list` is a list of assert statements, MBPP's (arXiv:2108.07732) with `test_setup_code` and
        `test_imports`; or of pairs with `input` and `output`.
        """
        test, entry_point = columns.get("test"), columns.get("entry_point")
        if isinstance(test, str) and isinstance(entry_point, str):
            source = f"{test}\n\ncheck({entry_point})\n"
            return cls((source,), entry_point=entry_point) if entry_point.isidentifier() else None
        tests = columns.get("tests", columns.get("test_list"))
        if not isinstance(tests, list) or not 0 < len(tests) <= _MOST_TESTS:
            return None
        if all(isinstance(one, str) for one in tests):
            imports = columns.get("test_imports") or []
            lines = [*(imports if isinstance(imports, list) else []), columns.get("test_setup_code") or ""]
            return cls(tuple(tests), "\n".join(line for line in lines if isinstance(line, str)))
        pairs = [(one.get("input"), one.get("output")) for one in tests if isinstance(one, dict)]
        texts = tuple((given, wanted) for given, wanted in pairs if isinstance(given, str) and isinstance(wanted, str))
        return cls(printing=texts) if len(texts) == len(tests) else None


class CodeReward:
    """The reward `code` of a job. What a program does is its own affair: a `fault` is only for tests that are none."""

    def __init__(self, pool: SandboxPool, job: str, spec: RewardSpec) -> None:
        self.name = spec.name
        self._pool, self._job = pool, job
        self._settings = CodeSettings.model_validate(spec.config)
        self._limits = program_limits(pool, self._settings.seconds, self._settings.memory_bytes)

    def check(self) -> None:
        """Nothing is to be loaded."""

    def grade(self, groups: Sequence[Sequence[Call]]) -> list[list[OwnMark]]:
        """The marks of groups of completions. Raises SandboxFailed."""
        found = []
        for calls in groups:
            with programs(self._pool, self._job, self._limits) as zygote:
                found.append([self._mark(zygote, call) for call in calls])
        return found

    def _mark(self, zygote: Zygote, call: Call) -> OwnMark:
        tests = Tests.of(call.columns)
        if tests is None:
            return OwnMark()
        run = _Run(zygote, call, self._limits.grade_seconds)
        passed, of = run.printing(tests) if tests.printing else run.calling(tests)
        if run.fault is not None:
            return OwnMark(fault=run.fault)
        value = passed / of if self._settings.share else float(passed == of)
        return OwnMark(value, over=run.over, doubtful=run.over or self._limits.doubtful(run.seconds))


class _Run:
    """One program on all tests of its problem."""

    def __init__(self, zygote: Zygote, call: Call, limit: float) -> None:
        self._zygote, self._call, self._limit = zygote, call, limit
        self._prompt = call.prompt if isinstance(call.prompt, str) else ""
        self._deadline = 0.0
        self.seconds, self.over = 0.0, False
        self.fault: str | None = None

    def printing(self, tests: Tests) -> tuple[int, int]:
        """How many inputs bring their output (without blanks at the ends of lines, and empty last lines), of how
        many."""
        passed = 0
        for given, wanted in tests.printing:
            program = self._zygote.fork()
            said = self._asked(program, given)
            program.end()
            passed += said is not None and said.error is None and _lines(said.printed) == _lines(wanted)
        return passed, len(tests.printing)

    def calling(self, tests: Tests) -> tuple[int, int]:
        """How many sources run to their end, of how many."""
        program, judge = self._zygote.fork(), self._zygote.fork()
        try:
            loaded = self._asked(program, None)
            if loaded is None or loaded.error is not None:
                return 0, len(tests.sources)
            return min(self._judged(program, judge, tests), len(tests.sources)), len(tests.sources)
        finally:
            program.end()
            judge.end()

    def _judged(self, program: Child, judge: Child, tests: Tests) -> int:
        try:
            question = {"tests": tests.sources, "setup": tests.setup, "name": tests.entry_point}
            judge.tell({"op": "tests", "prompt": self._prompt} | question)
            for _ in range(_MOST_CALLS):
                said, arguments = self._heard(judge)
                if said.call is None:
                    self.fault = said.fault
                    return said.passed
                judge.tell(*self._answer(program, said.call, arguments))
        except Ended:
            self.over = True  # its calls or the comparing of what it says take too long
        return 0

    def _answer(self, program: Child, name: str, arguments: tuple[bytes, ...]) -> tuple[Any, ...]:
        try:
            program.tell({"name": name}, *arguments[:1])
            said, result = self._heard(program)
        except Ended:
            self.over = True
            return ({"lost": True, "error": None},)
        self.seconds = said.seconds
        error = said.error if said.error is not None or result else "ValueError"
        return ({"lost": False, "error": error}, *result[:1])

    def _asked(self, program: Child, given: str | None) -> _Said | None:
        """Start the program; None when it ends its process or takes too long."""
        self._deadline = time.monotonic() + program_wall(self._limit)
        question = {"op": "program", "text": self._call.answer, "prompt": self._prompt, "input": given, "shift": 0.0}
        try:
            program.tell(question)
            said = self._heard(program)[0]
        except Ended:
            self.over = True
            return None
        self.seconds = max(self.seconds, said.seconds)
        return said

    def _heard(self, child: Child) -> tuple[_Said, tuple[bytes, ...]]:
        header, attachments = child.hear_all(self._limit, max(self._deadline - time.monotonic(), 0.0))
        try:
            return _Said.model_validate(header), attachments
        except ValidationError as error:
            raise Ended("not an answer") from error


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]

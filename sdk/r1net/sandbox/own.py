"""A job's own reward function: what it gives for completions, group by group, each in a process of its own.

    reward = OwnReward(pool, job, spec, open)
    marks = reward.grade([[Call(prompt, completion, columns), …], …])

A group's process imports the file and is asked for one completion after the other, in the order of their index: a mark
can depend on nothing of another group's, nor on how completions are batched.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r1net.errors import UsageError
from r1net.protocol.job import RewardSpec
from r1net.rewards import names
from r1net.sandbox.limits import Limits
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import Child, Ended, Silent, Zygote
from r1net.sandbox.stranger import LARGEST
from r1net.sandbox.wheels import Open, check_code, unpack

log = logging.getLogger(__name__)

_WORDS = 400


class _Said(BaseModel):
    """What a process says: a stranger's message, whatever our own code in it would have said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    value: float | None = Field(default=None, ge=-LARGEST, le=LARGEST)
    seconds: float = Field(default=0.0, ge=0)
    fault: str | None = Field(default=None, max_length=_WORDS)


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


class _Lost(Exception):
    """The process ended, or had to be ended, over what it did."""

    def __init__(self, loading: bool, signal_: int, silent: bool) -> None:
        super().__init__()
        self.loading, self.silent = loading, silent
        self.slow = signal_ == signal.SIGPROF

    def words(self, limits: Limits) -> str:
        """What to tell the function's author."""
        what = "loading its file" if self.loading else "it"
        if self.slow:
            return f"{what} takes more than {limits.setup_seconds:g} s of CPU time"
        return f"{what} waits for something that never comes" if self.silent else f"{what} ends its process"


class OwnReward:
    """One reward of a job that brings its own code. `open` brings the bytes of the job's files.

    `hash_seed` and `shift` (of its clocks, in seconds) are other than 0 only for whoever tries whether they matter.
    Methods raise UsageError when the files are at fault or don't fit this machine, SandboxFailed when the sandbox is.
    """

    def __init__(
        self, pool: SandboxPool, job: str, spec: RewardSpec, open_: Open, hash_seed: int = 0, shift: float = 0.0
    ) -> None:
        assert spec.code is not None, "a reward of the job's own"
        self.name, self._spec, self._code = spec.name, spec, spec.code
        self._pool, self._job, self._open = pool, job, open_
        self._hash_seed, self._shift = hash_seed, shift
        self.limits = replace(
            pool.limits,
            grade_seconds=self._code.seconds * pool.limits.own_seconds,
            setup_seconds=self._code.import_seconds * pool.limits.own_import_seconds,
            memory_bytes=self._code.memory_bytes,
        )
        self._key = f"{self._code.digest()} {hash_seed} {asdict(self.limits)}"

    def check(self) -> None:
        """Unpack and load it. Raises UsageError when that fails."""
        check_own(self._spec)
        self.grade([[]])

    def grade(self, groups: Sequence[Sequence[Call]]) -> list[list[OwnMark]]:
        """The marks of groups of completions. Raises UsageError when the file itself can't be loaded."""
        found = []
        for calls in groups:
            code = self._pool.codes.zygote(self._key, self._fill, self.limits, self._hash_seed)
            with self._pool.turn(self._job), code as (zygote, folder):
                found.append(self._group(zygote, folder, calls))
        return found

    def _fill(self, folder: Path) -> None:
        unpack(self._code, self._open, folder)

    def _group(self, zygote: Zygote, folder: Path, calls: Sequence[Call]) -> list[OwnMark]:
        """A completion that takes too long is over at once, and the next one is asked of a fresh process; what ends or
        stops a process in another way is a fault when it does so twice."""
        marks: list[OwnMark] = []
        lost_at: int | None = None
        while True:
            try:
                self._grade_into(marks, zygote, folder, calls[len(marks) :])
                break
            except _Lost as lost:
                place = -1 if lost.loading else len(marks)
                if lost.slow and not lost.loading:
                    marks.append(OwnMark(self._code.on_timeout, over=True, doubtful=True, late=self._code.on_timeout))
                elif lost.slow or lost_at == place:
                    self._fault(marks, lost.words(self.limits), lost.loading)
                    break
                lost_at = place
        return [*marks, *marks[-1:] * (len(calls) - len(marks))]

    def _fault(self, marks: list[OwnMark], words: str, loading: bool) -> None:
        log.warning("the reward %s: %s", self.name, words)
        if loading:
            raise UsageError(f"the reward {self.name!r}: {words}")
        marks.append(OwnMark(fault=words))

    def _grade_into(self, marks: list[OwnMark], zygote: Zygote, folder: Path, calls: Sequence[Call]) -> None:
        child = zygote.fork()
        loading, silent = True, False
        try:
            child.tell(self._question(folder, calls))
            loaded = _said(child, self.limits.setup_seconds)
            if loaded.fault is not None:
                self._fault(marks, loaded.fault, loading=True)
            loading = False
            for _ in calls:
                said = _said(child, self.limits.grade_seconds)
                if said.fault is not None:
                    self._fault(marks, said.fault, loading=False)
                    break
                doubtful = self.limits.doubtful(said.seconds)
                marks.append(OwnMark(said.value, doubtful=doubtful, late=self._code.on_timeout))
        except Ended as error:
            silent = isinstance(error, Silent)
            raise _Lost(loading, child.end(), silent) from error
        except BaseException:
            child.end()
            raise
        child.end()

    def _question(self, folder: Path, calls: Sequence[Call]) -> dict[str, Any]:
        return {
            "op": "grade",
            "folder": str(folder),
            "function": self._code.function,
            "shift": self._shift,
            "calls": [
                {"prompt": call.prompt, "completion": call.completion, "columns": call.columns} for call in calls
            ],
        }


def _said(child: Child, seconds: float) -> _Said:
    try:
        return _Said.model_validate(child.hear(seconds))
    except ValidationError as error:
        raise Ended("not an answer") from error

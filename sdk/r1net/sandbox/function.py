"""A function of a job's own, called with one item after the other, in a process of its own for each group of items.

The process imports the file and is asked for the items in their order: what comes out can depend on nothing of another
group's, nor on how groups are batched.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r1net.errors import UsageError
from r1net.protocol.code import Code
from r1net.sandbox.limits import Limits
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import Child, Ended, Silent, Zygote
from r1net.sandbox.wheels import Open, check_code, unpack

log = logging.getLogger(__name__)

MOST_WORDS = 400
_MOST_ENDED = 4
"""Calls of a group that may end their process before the rest fails alike: each costs loading the file anew, twice."""


class Said(BaseModel):
    """What a process says of one item: a stranger's message, whatever our own code in it would have said. `fault`: why
    the function gave nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seconds: float = Field(default=0.0, ge=0)
    fault: str | None = Field(default=None, max_length=MOST_WORDS)


S = TypeVar("S", bound=Said)


@dataclass(frozen=True)
class Surroundings:
    """What a function may not depend on: other than these only for whoever tries whether it does. `shift` of its
    clocks, in seconds."""

    hash_seed: int = 0
    shift: float = 0.0


USUAL = Surroundings()
OTHER = Surroundings(hash_seed=1, shift=40 * 86400.0 + 12345.678)
"""Another order of sets, another month, another time of the day."""


@dataclass(frozen=True)
class Outcome(Generic[S]):
    """What came of one call: what was said, or why nothing was. `over`: it took too long. `doubtful`: so near to that,
    that another machine may have found it over."""

    said: S | None = None
    fault: str | None = None
    over: bool = False
    doubtful: bool = False


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


class OwnFunction(Generic[S]):
    """`code` of the job `job`, of which `open_` brings the files; called as the operation `op` of `stranger`, which
    says messages of a `kind`. `what` is its name for people.

    Methods raise UsageError when the files are at fault or don't fit this machine, SandboxFailed when the sandbox is.
    """

    def __init__(
        self,
        pool: SandboxPool,
        job: str,
        what: str,
        code: Code,
        open_: Open,
        op: str,
        kind: type[S],
        around: Surroundings = USUAL,
    ) -> None:
        self._pool, self._job, self._what, self._code, self._open = pool, job, what, code, open_
        self._op, self._kind, self._around = op, kind, around
        self.limits = replace(
            pool.limits,
            grade_seconds=code.seconds * pool.limits.own_seconds,
            setup_seconds=code.import_seconds * pool.limits.own_import_seconds,
            memory_bytes=code.memory_bytes,
        )
        files = sorted((name, wheel.sha256) for name, wheel in code.wheels.items())
        self._key = f"{code.source.sha256} {files} {around.hash_seed} {asdict(self.limits)}"

    def check(self) -> None:
        """Unpack and load it. Raises UsageError when that fails."""
        check_code(self._code)
        self.call([[]], forgiving=False)

    def call(self, groups: Sequence[Sequence[dict[str, Any]]], *, forgiving: bool) -> list[list[Outcome[S]]]:
        """The outcomes of groups of calls. A call that fails is its group's last, whose later calls fail alike; where
        `forgiving` the next one is asked all the same. Raises UsageError when the file can't be loaded."""
        found = []
        for calls in groups:
            code = self._pool.codes.zygote(self._key, self._fill, self.limits, self._around.hash_seed)
            with self._pool.turn(self._job), code as (zygote, folder):
                found.append(self._group(zygote, folder, calls, forgiving))
        return found

    def _fill(self, folder: Path) -> None:
        unpack(self._code, self._open, folder)

    def _group(
        self, zygote: Zygote, folder: Path, calls: Sequence[dict[str, Any]], forgiving: bool
    ) -> list[Outcome[S]]:
        """A call that takes too long is over at once, and the next one is asked of a fresh process; what ends or stops
        a process in another way is a fault when it does so twice."""
        found: list[Outcome[S]] = []
        lost_at: int | None = None
        loaded, ended = False, 0
        while not loaded or len(found) < len(calls):
            if found and found[-1].fault is not None and (not forgiving or ended == _MOST_ENDED):
                return [*found, *found[-1:] * (len(calls) - len(found))]
            try:
                self._call_into(found, zygote, folder, calls[len(found) :], forgiving)
                loaded = True
            except _Lost as lost:
                loaded = not lost.loading
                place = len(found) if loaded else -1
                if lost.slow and loaded:
                    found.append(Outcome(over=True, doubtful=True))
                elif lost.slow or lost_at == place:
                    found.append(self._fault(lost.words(self.limits), lost.loading))
                    ended += 1
                lost_at = place
        return found

    def _fault(self, words: str, loading: bool) -> Outcome[S]:
        log.warning("%s: %s", self._what, words)
        if loading:
            raise UsageError(f"{self._what}: {words}")
        return Outcome(fault=words)

    def _call_into(
        self,
        found: list[Outcome[S]],
        zygote: Zygote,
        folder: Path,
        calls: Sequence[dict[str, Any]],
        forgiving: bool,
    ) -> None:
        """To the end, or up to the first fault."""
        child = zygote.fork()
        loading, silent = True, False
        try:
            child.tell(self._question(folder, calls))
            loaded = self._said(child, self.limits.setup_seconds)
            if loaded.fault is not None:
                self._fault(loaded.fault, loading=True)
            loading = False
            for _ in calls:
                said = self._said(child, self.limits.grade_seconds)
                if said.fault is None:
                    found.append(Outcome(said, doubtful=self.limits.doubtful(said.seconds)))
                    continue
                found.append(self._fault(said.fault, loading=False))
                if not forgiving:
                    break
        except Ended as error:
            silent = isinstance(error, Silent)
            raise _Lost(loading, child.end(), silent) from error
        except BaseException:
            child.end()
            raise
        child.end()

    def _question(self, folder: Path, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {
            "op": self._op,
            "folder": str(folder),
            "function": self._code.function,
            "shift": self._around.shift,
            "calls": list(calls),
        }

    def _said(self, child: Child, seconds: float) -> S:
        try:
            return self._kind.model_validate(child.hear(seconds))
        except ValidationError as error:
            raise Ended("not an answer") from error

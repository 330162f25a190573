"""What a job's tool answers to completions, wherever it is computed; and whether what they were given is that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from r1net.protocol.job import JobSpec
from r1net.protocol.trace import Trace
from r1net.protocol.turns import Span
from r1net.sandbox.answers import Place, ProblemView, ReplyIds, ReplyTexts, Spoken
from r1net.sandbox.asking import counted
from r1net.sandbox.function import USUAL, Surroundings
from r1net.sandbox.own_tool import Answered, OwnTool, ToolCall
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.python import PythonTool
from r1net.sandbox.wheels import Open
from r1net.tools import computed_outside

Begun = tuple[Place, Sequence[int], tuple[Span, ...]]
"""A completion as far as it goes: where its problem is, its tokens, and the spans that were given before."""

NO_TOOL = "the job has no tool that answers"
OTHER = "the tool gives another answer"
LEFT_OUT = "the tool had an answer, which is left out"

A = TypeVar("A", bound=BaseModel)


class _Outside(Protocol):
    """A tool that runs a stranger's code."""

    def check(self) -> None: ...

    def replies(self, groups: Sequence[Sequence[ToolCall]]) -> list[list[Answered]]: ...


class Grader(Protocol):
    """Who knows the job's problems and its tokenizer."""

    def ask(self, header: dict[str, Any], places: Sequence[Place], kind: type[A]) -> A:
        """One question about the problems of `places`."""

    def problems(self, places: Sequence[Place]) -> list[ProblemView]:
        """The problems of groups."""


@dataclass(frozen=True)
class Reply:
    """What a completion is given: `ids`, which are `text` with what stands around it. None where nothing is said or
    nothing has room. `doubtful`: it took so long that another machine may have found it over, and given `late`."""

    ids: list[int] | None = None
    text: str | None = None
    doubtful: bool = False
    late: list[int] | None = None

    def may_be(self, said: list[int] | None) -> bool:
        """Whether this tool can have said that."""
        return said == self.ids or (self.doubtful and said == self.late)


class Replies:
    """The tool of a job. Methods raise UsageError when the job is at fault, SandboxFailed when the sandbox is."""

    def __init__(self, pool: SandboxPool, spec: JobSpec, open_: Open) -> None:
        self._turns = spec.turns
        self._outside = outside(pool, spec, open_)

    def check(self) -> None:
        """Load it, where it is the job's own."""
        if self._outside is not None:
            self._outside.check()

    def to(self, items: Sequence[Begun], grader: Grader) -> list[Reply]:
        """The answers to completions of the job that `grader` knows."""
        if not items or self._turns is None:
            return [Reply()] * len(items)
        question = {"op": "turns", "items": [[list(ids), list(given)] for _, ids, given in items]}
        spoken = counted(grader.ask(question, (), Spoken).turns, len(items))
        open_ = [number for number, turns in enumerate(spoken) if turns is not None]
        said = self._said([(items[number][0], spoken[number] or []) for number in open_], grader)
        found = dict(zip(open_, said, strict=True))
        heard = [(number, late) for number in open_ for late in (False, True) if _text(found[number], late) is not None]
        tokens = [[items[n][0][0], len(items[n][1]), _text(found[n], late)] for n, late in heard]
        ids = grader.ask({"op": "reply_ids", "items": tokens}, (), ReplyIds).ids if heard else []
        of = dict(zip(heard, counted(ids, len(heard)), strict=True))
        return [
            Reply(of.get((n, False)), found[n].text, found[n].doubtful, of.get((n, True))) if n in found else Reply()
            for n in range(len(items))
        ]

    def _said(self, asked: Sequence[tuple[Place, list[str]]], grader: Grader) -> list[Answered]:
        if not asked:
            return []
        if self._outside is None:
            places = [place for place, _ in asked]
            question = {"op": "replies", "items": [[*place, turns] for place, turns in asked]}
            return [Answered(text) for text in counted(grader.ask(question, places, ReplyTexts).texts, len(asked))]
        groups: defaultdict[Place, list[int]] = defaultdict(list)
        for number, (place, _) in enumerate(asked):
            groups[place].append(number)
        problems = dict(zip(groups, grader.problems(list(groups)), strict=True))
        calls = [
            [ToolCall(problems[place].prompt, tuple(asked[number][1]), problems[place].columns) for number in numbers]
            for place, numbers in groups.items()
        ]
        found = zip(groups.values(), self._outside.replies(calls), strict=True)
        by_number = {number: one for numbers, said in found for number, one in zip(numbers, said, strict=True)}
        return [by_number[number] for number in range(len(asked))]


def _text(answered: Answered, late: bool) -> str | None:
    if late:
        return answered.late if answered.doubtful else None
    return answered.text


def outside(pool: SandboxPool, spec: JobSpec, open_: Open, around: Surroundings = USUAL) -> _Outside | None:
    """The job's tool, where it runs a stranger's code."""
    if spec.turns is None or not computed_outside(spec.turns):
        return None
    if spec.turns.code is not None:
        return OwnTool(pool, spec.digest(), spec.turns, open_, around)
    return PythonTool(pool, spec.digest(), spec.turns)


def wrong_replies(
    traces: Sequence[Trace], spec: JobSpec, replies: Callable[[Sequence[Begun]], list[Reply]]
) -> Iterator[tuple[int, str]]:
    """The positions of traces whose answers aren't the tool's, and what is wrong. Raises UsageError, SandboxFailed."""
    if spec.turns is None:
        yield from ((position, NO_TOOL) for position, trace in enumerate(traces) if trace.given)
        return
    places = [(position, *one) for position, trace in enumerate(traces) for one in endings(trace)]
    found = replies([begun for _, begun, _ in places])
    for reply, (position, _, said) in zip(found, places, strict=True):
        if not reply.may_be(said):
            yield position, LEFT_OUT if said is None else OTHER


def endings(trace: Trace) -> list[tuple[Begun, list[int] | None]]:
    """Where the model's turns ended in a completion, and what it was given there: at its end, nothing."""
    place = (trace.split, trace.round, trace.group)
    found: list[tuple[Begun, list[int] | None]] = [
        ((place, trace.completion_ids[:begin], trace.given[:number]), list(trace.completion_ids[begin:end]))
        for number, (begin, end) in enumerate(trace.given)
    ]
    if trace.finish_reason == "stop":
        found.append(((place, trace.completion_ids, trace.given), None))
    return found

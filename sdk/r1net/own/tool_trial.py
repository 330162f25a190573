"""Does a tool of the job's own answer the same to the same turns, whenever and in whatever order it is asked?

See `trial` for how it is tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1net.errors import UsageError
from r1net.marks import WORTHLESS
from r1net.own.trial import PROBLEMS
from r1net.protocol.job import JobSpec
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.answers import Place
from r1net.sandbox.function import OTHER
from r1net.sandbox.own_tool import Answered, OwnTool, ToolCall
from r1net.sandbox.wheels import Open

_SHOWN = 200


def try_own_tool(pool: SandboxPool, spec: JobSpec, scorer: SandboxedScorer, open_: Open) -> int:
    """Try a job's own tool on turns of known worth about its first problems.

    Returns how many times it was asked. Raises UsageError on faults, on answers that take too long, and on answers that
    differ.
    """
    if spec.turns is None or spec.turns.code is None:
        return 0
    job = spec.digest()
    first, other = OwnTool(pool, job, spec.turns, open_), OwnTool(pool, job, spec.turns, open_, OTHER)
    groups: list[list[ToolCall]] = []
    ahead: list[list[Answered]] = []
    for group in range(PROBLEMS):  # one by one: the first fault ends it
        groups.append(calls := _calls(scorer, group))
        ahead += (said := first.replies([calls]))
        _require_answers(spec.turns.tool, calls, said[0])
    back = [said[::-1] for said in other.replies([calls[::-1] for calls in groups])]
    for calls, one, two in zip(groups, ahead, back, strict=True):
        _require_answers(spec.turns.tool, calls, two)
        _require_same(spec.turns.tool, calls, one, two)
    return sum(map(len, groups))


def _calls(scorer: SandboxedScorer, group: int) -> list[ToolCall]:
    place: Place = ("train", 0, group)
    (problem,) = scorer.problems([place])
    gold = problem.columns["answer"]
    texts = [*([gold] if gold is not None else []), *WORTHLESS]
    spoken = [*((text,) for text in texts), (texts[-1], texts[0])]
    return [ToolCall(problem.prompt, turns, problem.columns) for turns in spoken]


def _require_answers(name: str, calls: Sequence[ToolCall], answers: Sequence[Answered]) -> None:
    for call, answered in zip(calls, answers, strict=True):
        if answered.fault is not None:
            raise UsageError(f"the tool {name!r} fails on the turns {_shown(call)}: {answered.fault}")
        if answered.over:
            raise UsageError(
                f"the tool {name!r} takes too long for the turns {_shown(call)}",
                hint="make it faster, or allow it more: [tool.r1net] seconds = … in its `# /// script` block",
            )


def _require_same(name: str, calls: Sequence[ToolCall], one: Sequence[Answered], two: Sequence[Answered]) -> None:
    for call, first, other in zip(calls, one, two, strict=True):
        if first.text != other.text:
            raise UsageError(
                f"the tool {name!r} answers {_short(first.text)} and then {_short(other.text)} to the same turns "
                f"{_shown(call)}: it depends on chance, on the time, on a set's order, or on what it was asked before",
                hint="hosts and coordinator must hear the same: make it a function of its arguments alone",
            )


def _shown(call: ToolCall) -> str:
    return _short(list(call.turns))


def _short(value: object) -> str:
    return repr(value)[:_SHOWN]

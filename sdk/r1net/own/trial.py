"""Does a reward give the same mark for the same answer, whenever and in whatever order it is asked?

Everything that it may not depend on is changed: it is asked in two processes with other hash seeds and clocks, in
opposite orders. What agrees is still no proof: chance that strikes once in a thousand times is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from r1net.errors import UsageError
from r1net.marks import WORTHLESS
from r1net.protocol.job import JobSpec
from r1net.protocol.turns import messages
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.function import OTHER
from r1net.sandbox.own import Call, OwnMark
from r1net.sandbox.owned import Item, OwnRewards
from r1net.sandbox.wheels import Open

PROBLEMS = 16
_SHOWN = 200


def try_own_rewards(pool: SandboxPool, spec: JobSpec, scorer: SandboxedScorer, open_: Open) -> int:
    """Try a job's own rewards on answers to its first problems: the reference answer, nothing, and nonsense.

    Returns how many completions each was tried on. Raises UsageError on faults, on answers that take too long, and on
    marks that differ.
    """
    first, other = OwnRewards(pool, spec, open_), OwnRewards(pool, spec, open_, OTHER)
    if not first:
        return 0
    items: list[Item] = []
    ahead: list[dict[str, OwnMark]] = []
    for group in range(PROBLEMS):  # one by one: the first fault ends it
        items += (found := _items(scorer, group))
        ahead += (marks := first.marks(found))
        _require_marks(found, marks)
    back = other.marks(items[::-1])[::-1]
    _require_marks(items, back)
    for (_, call), one, two in zip(items, ahead, back, strict=True):
        for name in one:
            _require_same(name, call, one[name], two[name])
    for name in ahead[0]:
        if all(marks[name].value is None for marks in ahead):
            raise UsageError(f"the reward {name!r} applies to none of {len(items)} answers: it always gives None")
    return len(items)


def _items(scorer: SandboxedScorer, group: int) -> Sequence[Item]:
    place = ("train", 0, group)
    (problem,) = scorer.problems([place])  # type: ignore[list-item]
    gold = problem.columns["answer"]
    texts = [*([gold, f"<think></think><answer>{gold}</answer>"] if gold is not None else []), *WORTHLESS]
    turns = scorer.spec.turns
    return [
        (place, Call(problem.prompt, text if turns is None else messages([text], []), problem.columns, answer=text))
        for text in texts
    ]


def _require_marks(items: Sequence[Item], marks: Sequence[dict[str, OwnMark]]) -> None:
    for (_, call), found in zip(items, marks, strict=True):
        for name, mark in found.items():
            if mark.fault is not None:
                raise UsageError(f"the reward {name!r} fails on the answer {_shown(call)}: {mark.fault}")
            if mark.over:
                raise UsageError(
                    f"the reward {name!r} takes too long for the answer {_shown(call)}",
                    hint="make it faster, or allow it more: [tool.r1net] seconds = … in its `# /// script` block",
                )


def _require_same(name: str, call: Call, one: OwnMark, two: OwnMark) -> None:
    if one.value != two.value:
        raise UsageError(
            f"the reward {name!r} gives {one.words} and then {two.words} for the same answer {_shown(call)}: it "
            "depends on chance, on the time, on the order of a set, or on what it was asked before",
            hint="hosts and coordinator must come to the same: make it a function of its arguments alone",
        )


def _shown(call: Call) -> str:
    return repr(call.completion)[:_SHOWN]

"""A job's own tool: what it answers where the model ends a turn.

Hosts and coordinator ask at different moments and for other sets of completions. A call that fails or takes too long
answers nothing, and costs the next one nothing: a tool that comes to something else then is no function of its
arguments, which is its job's fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from r1net.errors import UsageError
from r1net.protocol.turns import Turns
from r1net.sandbox.function import USUAL, Outcome, OwnFunction, Said, Surroundings
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.stranger import LONGEST
from r1net.sandbox.wheels import Open, check_code
from r1net.tools import check, names


class _Reply(Said):
    """An answer, or None."""

    reply: str | None = Field(default=None, max_length=LONGEST)


@dataclass(frozen=True)
class ToolCall:
    """What a tool is called with: the problem's question, the model's turns so far, and the problem's columns."""

    prompt: str
    turns: tuple[str, ...]
    columns: dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """What a tool answers; `text` is None where it has nothing to say. `doubtful`: it took so long that another machine
    may have found it over, as `over` says that this one did, and answered `late`. `fault`: why it says nothing, where
    it should have."""

    text: str | None = None
    doubtful: bool = False
    late: str | None = None
    over: bool = False
    fault: str | None = None


def check_turns(turns: Turns) -> None:
    """Whether a job's tool can be taken, before its files are here. Raises UsageError."""
    if turns.code is None:
        check(turns)
        return
    if turns.tool in names():
        raise UsageError(f"{turns.tool!r} is the name of a registered tool", hint="give your own another name")
    if turns.config:
        raise UsageError(f"the tool {turns.tool!r} is the job's own: it takes no settings")
    check_code(turns.code)


class OwnTool:
    """The tool of a job that brings its own code; see `OwnFunction` for its arguments and for what methods raise."""

    def __init__(self, pool: SandboxPool, job: str, turns: Turns, open_: Open, around: Surroundings = USUAL) -> None:
        assert turns.code is not None, "a tool of the job's own"
        self.name, self._turns = turns.tool, turns
        what = f"the tool {turns.tool!r}"
        self._function = OwnFunction(pool, job, what, turns.code, open_, "reply", _Reply, around)

    def check(self) -> None:
        """Unpack and load it. Raises UsageError when that fails."""
        check_turns(self._turns)
        self._function.check()

    def replies(self, groups: Sequence[Sequence[ToolCall]]) -> list[list[Answered]]:
        """The answers to groups of calls. Raises UsageError when the file itself can't be loaded."""
        calls = [
            [{"prompt": call.prompt, "turns": list(call.turns), "columns": call.columns} for call in group]
            for group in groups
        ]
        return [[_answered(one) for one in group] for group in self._function.call(calls, forgiving=True)]


def _answered(outcome: Outcome[_Reply]) -> Answered:
    text = outcome.said.reply if outcome.said else None
    return Answered(text, outcome.doubtful, over=outcome.over, fault=outcome.fault)

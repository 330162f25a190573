"""The tool `python`: programs that a model writes in the middle of its completion, each run in processes of their own.

A program is run twice, with other hash seeds and clocks: hosts and coordinator can only agree on what it prints both
times. What it finds out of its surroundings beyond that is a model's doing, which nobody can steer for a given seed.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r1net.protocol.turns import Turns
from r1net.sandbox.function import OTHER, USUAL, Surroundings
from r1net.sandbox.own_tool import Answered, ToolCall
from r1net.sandbox.pool import SandboxPool
from r1net.sandbox.process import Ended, Zygote
from r1net.sandbox.program_processes import program_limits, program_wall, programs
from r1net.tools.python import DIFFERS, FAILED, TOO_LONG, PythonSettings


class _Said(BaseModel):
    """What a program's process says, a stranger's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    error: str | None = Field(default=None, max_length=100)
    printed: str = ""
    seconds: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class _Run:
    text: str
    over: bool = False
    seconds: float = 0.0


class PythonTool:
    """The tool of a job that has it. Methods raise SandboxFailed."""

    def __init__(self, pool: SandboxPool, job: str, turns: Turns) -> None:
        self._pool, self._job = pool, job
        self._settings = PythonSettings.model_validate(turns.config)
        self._limits = program_limits(pool, self._settings.seconds, self._settings.memory_bytes)

    def check(self) -> None:
        """Nothing is to be loaded."""

    def replies(self, groups: Sequence[Sequence[ToolCall]]) -> list[list[Answered]]:
        """The answers to groups of calls."""
        return [[self._answer(call) for call in calls] for calls in groups]

    def _answer(self, call: ToolCall) -> Answered:
        program = self._settings.program(call.turns[-1])
        if program is None:
            return Answered()
        runs = [self._run(program, around) for around in (USUAL, OTHER)]
        over = any(run.over for run in runs)
        text = TOO_LONG if over else runs[0].text if runs[0] == replace(runs[1], seconds=runs[0].seconds) else DIFFERS
        doubtful = over or any(self._limits.doubtful(run.seconds) for run in runs)
        return Answered(text, doubtful, TOO_LONG, over)

    def _run(self, program: str, around: Surroundings) -> _Run:
        with programs(self._pool, self._job, self._limits, around.hash_seed) as zygote:
            return self._asked(zygote, program, around.shift)

    def _asked(self, zygote: Zygote, program: str, shift: float) -> _Run:
        child = zygote.fork()
        wall = program_wall(self._limits.grade_seconds)
        try:
            child.tell({"op": "program", "text": program, "prompt": "", "input": "", "shift": shift})
            said = _Said.model_validate(child.hear_all(self._limits.grade_seconds, wall)[0])
        except (Ended, ValidationError) as error:
            ended = child.end()
            slow = ended in (signal.SIGPROF, signal.SIGKILL) and isinstance(error, Ended)
            return _Run("", over=True) if slow else _Run(FAILED.format(error="it ends its process"))
        child.end()
        lines = [self._settings.shown(said.printed), FAILED.format(error=said.error) if said.error else ""]
        return _Run("\n".join(line for line in lines if line), seconds=said.seconds)

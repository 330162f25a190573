"""Jobs that bring a tool of their own, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from r1net.protocol.canonical import sha256
from r1net.protocol.code import ToolCode
from r1net.protocol.job import JobSpec
from r1net.protocol.turns import Turns
from r1net.sandbox import SandboxPool
from r1net.sandbox.function import USUAL, Surroundings
from r1net.sandbox.own_tool import Answered, OwnTool, ToolCall
from tests.adversarial.sandbox.rewards import PYTHON, ref
from tests.sandbox import SANDBOX
from tests.unit.coordinator.jobs import job_spec


class ToolKit:
    """A tool's code with its file by digest."""

    def __init__(self, source: str, most: int = 3, **changes: Any) -> None:
        data = source.encode()
        self.files = {sha256(data): data}
        code = ToolCode(source=ref(data), function="answer", python=PYTHON, **changes)
        self.turns = Turns(tool="mine", code=code, most=most, reply="\n{reply}\n")

    @property
    def open(self) -> Callable[[str], bytes]:
        return self.files.__getitem__

    def spec(self, **changes: Any) -> JobSpec:
        return job_spec(turns=self.turns, **changes)

    def tool(self, pool: SandboxPool = SANDBOX, around: Surroundings = USUAL) -> OwnTool:
        return OwnTool(pool, "job", self.turns, self.open, around)

    def answers(self, *spoken: Sequence[str], pool: SandboxPool = SANDBOX, **columns: Any) -> list[Answered]:
        """The answers to several completions' turns about one problem."""
        calls = [ToolCall("question", tuple(turns), columns) for turns in spoken]
        return self.tool(pool).replies([calls])[0]

"""A sandbox whose processes run the code that a test sends: what if a grader were taken over completely?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from r1net.sandbox import Limits, process
from r1net.sandbox.boundary import Inside, grader
from r1net.sandbox.process import Child, Ended, Zygote

LIMITS = Limits(grade_seconds=0.5, setup_seconds=0.5, memory_bytes=2**28)

_TAKEN_OVER = """
import r1net.sandbox.zygote as zygote
from r1net.sandbox.frames import receive, send

def serve(channel, limits):
    from r1net.sandbox.confine import allow_seconds
    while True:
        header, _ = receive(channel, 1 << 20)
        allow_seconds(limits.setup_seconds)
        space = {"channel": channel, "asked": header["asked"], "send": send}
        try:
            exec(header["code"], space)
            answer = {"value": repr(space.get("value"))}
        except BaseException as error:
            answer = {"error": type(error).__name__, "errno": getattr(error, "errno", None), "words": str(error)}
        allow_seconds(0)
        send(channel, answer | {"asked": header["asked"]})

zygote.serve = serve
zygote.main()
"""


@dataclass(frozen=True)
class Outcome:
    """What became of the code: its answer, or the signal that ended its process."""

    answer: dict[str, Any]
    signal: int | None = None

    @property
    def refused(self) -> bool:
        """Whether the kernel said no: an OSError of permission, or what Python makes of it."""
        return self.answer.get("error") in ("PermissionError", "BlockingIOError", "RuntimeError")


class Prison:
    """One zygote whose children obey; `run` gives each piece of code a process of its own."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote

    def run(self, code: str) -> Outcome:
        """Run code in a fresh confined process."""
        child = self.zygote.fork()
        try:
            answer = child.ask({"code": code})
        except Ended:
            return Outcome({}, child.end())
        child.end()
        return Outcome(answer)

    def child(self) -> Child:
        """A process to speak with."""
        return self.zygote.fork()


def open_prison(patch: pytest.MonkeyPatch, bubblewrap: bool) -> Prison:
    """With all the layers, or (as on a machine without bubblewrap) with Landlock and seccomp."""
    if not bubblewrap:
        patch.setattr(process, "bubblewrapped", _none)
    return Prison(Zygote(LIMITS, inside=replace(grader(), program=(sys.executable, "-s", "-c", _TAKEN_OVER))))


_none: Callable[[Inside], None] = lambda inside: None  # noqa: E731

"""Tools by name: the one place where a name becomes a function."""

from __future__ import annotations

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.faults import in_words, nearest
from r1net.protocol.turns import Turns
from r1net.tools.base import Tool, ToolFactory, ToolSettings
from r1net.tools.calculator import calculator
from r1net.tools.messages import messages
from r1net.tools.python import PythonSettings

_TOOLS: dict[str, ToolFactory] = {"calculator": calculator, "messages": messages}
_OUTSIDE: dict[str, type[ToolSettings]] = {"python": PythonSettings}
"""Tools that run what a model wrote: `r1net.sandbox` computes them, each run in a process of its own."""


def names() -> list[str]:
    """Every registered tool."""
    return sorted({*_TOOLS, *_OUTSIDE})


def computed_outside(turns: Turns) -> bool:
    """Whether a tool runs a stranger's code, so that `make` can't make it."""
    return turns.code is not None or turns.tool in _OUTSIDE


def check(turns: Turns) -> None:
    """Whether a registered tool has this name and takes these settings. Raises UsageError."""
    takes = _TOOLS.get(turns.tool) or (_OUTSIDE[turns.tool].model_validate if turns.tool in _OUTSIDE else None)
    if takes is None:
        raise UsageError(f"unknown tool {turns.tool!r}", hint=nearest(turns.tool, names()))
    try:
        takes(turns.config)
    except ValidationError as error:
        raise in_words(error, of=f"the tool {turns.tool!r} refuses its settings") from error


def make(turns: Turns) -> Tool:
    """A registered tool with its settings. Raises UsageError on an unknown name, and on settings that it refuses."""
    check(turns)
    return _TOOLS[turns.tool](turns.config)

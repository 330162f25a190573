"""Tools by name: the one place where a name becomes a function."""

from __future__ import annotations

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.protocol.turns import Turns
from r1net.tools.base import Tool, ToolFactory
from r1net.tools.calculator import calculator
from r1net.tools.messages import messages

_TOOLS: dict[str, ToolFactory] = {"calculator": calculator, "messages": messages}


def names() -> list[str]:
    """Every registered tool."""
    return sorted(_TOOLS)


def make(turns: Turns) -> Tool:
    """A registered tool with its settings. Raises UsageError on an unknown name, and on settings that it refuses."""
    factory = _TOOLS.get(turns.tool)
    if factory is None:
        raise UsageError(f"unknown tool {turns.tool!r}", hint=f"use one of {', '.join(names())}")
    try:
        return factory(turns.config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the tool {turns.tool!r} refuses its settings: {where}: {first['msg']}") from error

"""What `train(tool=…)` takes, as a job's specification has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from r1net.errors import UsageError
from r1net.faults import first_fault
from r1net.local_files import LocalFiles
from r1net.own.code import brought
from r1net.protocol.code import ToolCode
from r1net.protocol.turns import Turns
from r1net.sandbox.own_tool import check_turns


@dataclass(frozen=True)
class Tool:
    """What answers a model where it ends its turn: the name of a registered tool with its `config`, a function of one's
    own, or the file that has it (`file.py`, or `file.py:function`). `reply` is the text around an answer, from the stop
    token of one turn to the beginning of the next, with {reply} in it; without it the chat template's."""

    of: str | Path | Callable[..., Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    reply: str | None = None


ToolLike = str | Path | Callable[..., Any] | Tool


def tool_turns(given: ToolLike, most: int | None, reply: Callable[[], str], files: LocalFiles) -> Turns:
    """The turns of a specification, at most `most` of the model's; the files of an own tool are kept for the upload.
    `reply` gives the chat template's text around an answer. Raises UsageError."""
    tool = given if isinstance(given, Tool) else Tool(given)
    settings: dict[str, Any] = {"reply": reply() if tool.reply is None else tool.reply, "config": dict(tool.config)}
    settings |= {} if most is None else {"most": most}
    if isinstance(tool.of, str) and ".py" not in tool.of:
        settings |= {"tool": tool.of}
    else:
        path = Path(tool.of) if isinstance(tool.of, str) else tool.of
        settings["tool"], settings["code"] = brought(path, files, ToolCode, "tool")
    try:
        turns = Turns.model_validate(settings)
    except ValidationError as error:
        where, said, hint = first_fault(error, Turns)
        name = ".".join(map(str, where))
        raise UsageError(f"{'turns' if name == 'most' else f'the tool: {name}'}: {said}", hint=hint) from error
    check_turns(turns)
    return turns

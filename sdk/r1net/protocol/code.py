"""Code that a job brings: a Python file of its submitter's, with what it imports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from r1net.protocol.canonical import Message
from r1net.protocol.files import FileRef

WheelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}\.whl$")]


class Code(Message):
    """One Python file, run by nobody but a sandbox, with the wheels that it imports from.

    `function` is the name in it that is called. `python` is the interpreter's minor version that the wheels are for.
    `seconds` of CPU time for one call; `import_seconds` for loading the file; `memory_bytes` for all that it holds.
    """

    source: FileRef
    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    python: Annotated[str, StringConstraints(pattern=r"^3\.[0-9]{1,2}$")]
    wheels: dict[WheelName, FileRef] = Field(default_factory=dict, max_length=64)
    seconds: float = Field(default=1.0, gt=0, le=10)
    import_seconds: float = Field(default=10.0, gt=0, le=60)
    memory_bytes: int = Field(default=2**29, ge=2**26, le=2**31)

    @property
    def files(self) -> list[FileRef]:
        """All that it is made of."""
        return [self.source, *self.wheels.values()]


class RewardCode(Code):
    """A submitter's own reward.

    `function` is called as TRL calls reward functions, `function(prompts=[…], completions=[…], **columns)`, with one
    completion at a time, and gives a list of one number or None (does not apply). A completion is a text; in a job with
    a tool it is a list of messages. One for which it takes too long is worth `on_timeout`.
    """

    on_timeout: float = Field(default=0.0, ge=-1000, le=1000)


class ToolCode(Code):
    """A submitter's own tool: `function(prompt, turns, **columns)` gives what is answered to the model's `turns`, of
    which the last has just ended, or None. A call that fails or takes too long answers nothing."""

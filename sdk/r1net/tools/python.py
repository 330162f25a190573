"""A Python interpreter for the model: what stands in its turn between `begin` and `end` is run, and what it prints is
the answer. `r1net.sandbox.python` runs it, twice: what differs from run to run is no answer."""

from __future__ import annotations

from pydantic import Field

from r1net.tools.base import ToolSettings

FAILED = "error: {error}"
TOO_LONG = "error: it takes too long"
DIFFERS = "error: it prints something else each time"
CUT = "…"


class PythonSettings(ToolSettings):
    """A program stands between `begin` and `end`, and has `seconds` of CPU time and `memory_bytes`. Of what it prints
    the first `characters` are answered."""

    begin: str = Field(default="<python>", min_length=1, max_length=50)
    end: str = Field(default="</python>", min_length=1, max_length=50)
    seconds: float = Field(default=1.0, gt=0, le=10)
    memory_bytes: int = Field(default=2**28, ge=2**26, le=2**31)
    characters: int = Field(default=1000, ge=1, le=10_000)

    def program(self, turn: str) -> str | None:
        """The last program of a turn; None where there is none."""
        _, begun, rest = turn.rpartition(self.begin)
        program, ended, _ = rest.partition(self.end)
        return program.strip("\n") if begun and ended else None

    def shown(self, printed: str) -> str:
        """What of a program's output is answered."""
        text = printed.strip()
        return text if len(text) <= self.characters else text[: self.characters] + CUT

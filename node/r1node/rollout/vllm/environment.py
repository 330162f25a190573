"""Where vLLM's environment is, and whether it is complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from r1net.errors import PreflightError
from r1net.whole import write_whole

VERSION = "0.32.0"
"""The release that `inside/r1vllm` was written and tested against: it replaces a part of the engine."""

INSTALL = "r1node engine install vllm"

Variant = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own in `folder`."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def marker(self) -> Path:
        """Written last by the installation."""
        return self.folder / "r1node.json"

    @property
    def variant(self) -> Variant | None:
        """What it was installed for. None when it isn't there, isn't complete, or holds another release."""
        try:
            found = json.loads(self.marker.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("vllm") != VERSION or not self.python.exists():
            return None
        return "cuda" if found.get("variant") == "cuda" else "cpu"

    def require(self) -> None:
        """Raises PreflightError, with the command that helps, when it can't be used."""
        if self.variant is None:
            raise PreflightError(f"vLLM {VERSION} is not installed in {self.folder}", hint=f"run: {INSTALL}")

    def complete(self, variant: Variant) -> None:
        """Write the marker."""
        write_whole(self.marker, json.dumps({"vllm": VERSION, "variant": variant}) + "\n", 0o644)

"""What a tool is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from r1net.environments.base import Problem

Tool = Callable[[Problem, Sequence[str]], str | None]
"""The answer to the model's turns so far, the last of which has just ended; None where it asks for nothing. The same on
every machine: hosts, verifiers and the coordinator each compute it."""

ToolFactory = Callable[[dict[str, Any]], Tool]
"""Makes a tool from the job's settings for it. Raises pydantic's ValidationError on settings that it doesn't have."""


class ToolSettings(BaseModel):
    """Base of the settings of a tool: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

"""The next messages of a conversation, as its row or the job has them: a hint, a doubt, a further question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, model_validator

from r1net.environments.base import Problem
from r1net.errors import UsageError
from r1net.tools.base import Tool, ToolSettings


class _Settings(ToolSettings):
    """`texts` for every problem, or those in a `column` of the problem's row."""

    texts: tuple[str, ...] = Field(default=(), max_length=64)
    column: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> _Settings:
        if bool(self.texts) == (self.column is not None):
            raise ValueError("either texts or a column")
        return self


def messages(config: dict[str, Any]) -> Tool:
    """Answers each turn with the next message, whatever the model said, as long as there are any."""
    settings = _Settings.model_validate(config)

    def reply(problem: Problem, turns: Sequence[str]) -> str | None:
        found = settings.texts if settings.column is None else _of_row(problem, settings.column)
        return found[len(turns) - 1] if len(turns) <= len(found) else None

    return reply


def _of_row(problem: Problem, column: str) -> Sequence[str]:
    value = problem.entry.get(column)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"the column {column!r} of a row is no list of texts")
    return value

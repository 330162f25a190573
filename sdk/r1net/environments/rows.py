"""A submitter's own rows as problems.

Rows come from a stranger: they are read in the sandbox, one at a time, from the lines that `r1net.environments.shards`
finds without reading them.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from r1net.environments.base import Problem
from r1net.errors import UsageError
from r1net.protocol.problems import EnvironmentSpec

MOST_COLUMNS = 256


class Row(BaseModel):
    """One line of a shard. `question` takes the place of {question} in the job's prompt; `answer` is the reference
    answer where there is one; `columns` are what the submitter's file had beside them, and what rewards are given."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    question: str = Field(min_length=1)
    answer: str | None = None
    columns: dict[str, JsonValue] = Field(default_factory=dict, max_length=MOST_COLUMNS)


class Rows:
    """The environment of a data set. Its verifier is equality, but for white space at the ends; other ideas of being
    right are rewards."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        if spec.config:
            raise UsageError(f"{spec.name} has no settings, but {min(spec.config)!r} is given")
        self.name = spec.name

    def read(self, line: str, number: int) -> Problem:
        """The problem in one line. Raises UsageError."""
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "row"
            raise UsageError(f"{self.name}: row {number}: {where[:100]}: {first['msg']}") from error
        entry: dict[str, Any] = dict(row.columns)
        return Problem(row.question, row.answer, entry)

    def verify(self, problem: Problem, answer: str) -> float:
        """1 where the answer is the row's own; 0 where the row has none."""
        return float(problem.answer is not None and answer.strip() == problem.answer.strip())

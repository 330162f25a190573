"""What a grader says, checked like any stranger's message: a job's own files may have taken its process over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from r1net.protocol.trace import Split
from r1net.sandbox.own import OwnMark

Place = tuple[Split, int, int]
"""Split, round, group."""


class Answer(BaseModel):
    """What a process says is checked like any stranger's message: a job's own files may have taken it over."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Vocabulary(Answer):
    """How many token ids the job's model can emit."""

    vocabulary: int = Field(gt=0)


class Prompt(Answer):
    """The prompt of one group."""

    question: str
    text: str
    ids: list[Annotated[int, Field(ge=0, lt=2**31)]]


class Prompts(Answer):
    """The prompts asked for, in order."""

    prompts: list[Prompt]


class Spoken(Answer):
    """The model's turns of each completion to which a tool may answer; None where it may not."""

    turns: list[list[str] | None]


class ReplyTexts(Answer):
    """What the job's tool answers to each, None where nothing."""

    texts: list[str | None]


class ReplyIds(Answer):
    """Answers as token ids with what stands around them; None where there is no room."""

    ids: list[list[Annotated[int, Field(ge=0, lt=2**31)]] | None]


class Texts(Answer):
    """The texts of completions, and what of each is its answer."""

    texts: list[str]
    answers: list[str]


class Mark(Answer):
    """What one reward gives for an answer whose worth is known: see `r1net.marks`."""

    reward: str
    text: str
    gold: bool
    score: float | None


class Marks(Answer):
    """The marks of one problem."""

    question: str
    marks: list[Mark]


class ProblemView(Answer):
    """What a reward of the job's own is told of a problem."""

    prompt: str
    columns: dict[str, Any]


class Problems(Answer):
    """The problems asked for, in order."""

    problems: list[ProblemView]


class Grade(Answer):
    """The registered rewards' marks of one completion, or that it took too much memory; `seconds` of CPU it took."""

    seconds: float
    parts: dict[str, float | None] = Field(default_factory=dict)
    over: Literal["memory"] | None = None


class Fault(Answer):
    """What is wrong with the job itself, in words."""

    fault: str
    hint: str | None


@dataclass(frozen=True)
class Graded:
    """A completion's rewards, as `r1net.scoring.Scored` has them.

    `over`: it went over a limit, which makes every reward 0, the same for everyone. `doubtful`: it came so near to the
    limit of time that another machine may have found it over. `own`: what the job's own rewards gave, of which a fault
    leaves the part None.
    """

    reward: float | None
    parts: dict[str, float | None]
    over: Literal["time", "memory", "crash"] | None = None
    doubtful: bool = False
    own: Mapping[str, OwnMark] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """What is wrong with the job's own rewards, which nobody but the job is to blame for."""
        return next((f"the reward {name!r}: {mark.fault}" for name, mark in self.own.items() if mark.fault), None)

"""How many of the instructions that come with a problem an answer follows."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from r1net.environments.base import Environment, Problem
from r1net.rewards import ifeval, languages
from r1net.rewards.answers import reply
from r1net.rewards.base import Completion, NoSettings, RewardFunction


class _Row(BaseModel):
    """What a problem's row says, in the form of the data set google/IFEval: settings that are null are not given."""

    model_config = ConfigDict(extra="ignore")

    instruction_id_list: list[str]
    kwargs: list[dict[str, Any]]

    @model_validator(mode="after")
    def _one_for_each(self) -> _Row:
        if not self.instruction_id_list or len(self.instruction_id_list) != len(self.kwargs):
            raise ValueError("not a row of instructions")
        return self


def instructions(config: dict[str, Any]) -> RewardFunction:
    """The share of the instructions in `instruction_id_list` and `kwargs` of the problem's row that the reply follows:
    IFEval's strict accuracy (arXiv:2311.07911, section 2.2); an empty reply follows none. None where a row has no
    instructions, or one that `r1net.rewards.ifeval` does not know, or does not know with these settings.

    The reply is what follows the last </think>, or in it what <answer> holds.
    """
    NoSettings.model_validate(config)

    def mark(_environment: Environment, problem: Problem, completion: Completion) -> float | None:
        languages.load()
        try:
            row = _Row.model_validate(problem.entry)
        except ValidationError:
            return None
        text = reply(completion.opened + completion.text)
        found = [
            ifeval.follows(name, {key: value for key, value in settings.items() if value is not None}, text)
            for name, settings in zip(row.instruction_id_list, row.kwargs, strict=True)
        ]
        known = [followed for followed in found if followed is not None]
        if len(known) < len(found):
            return None
        return sum(known) / len(known) if text else 0.0

    return mark

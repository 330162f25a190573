"""The three rewards of R1's own recipe: the environment's verifier, the format of thought and answer, and equality."""

from __future__ import annotations

import re
from typing import Any

from r1net.environments.base import Environment, Problem
from r1net.rewards.answers import extract_answer
from r1net.rewards.base import Completion, NoSettings, RewardFunction

_R1_FORMAT = re.compile(r"\s*<think>(?:(?!</?think>).)*</think>\s*<answer>(?:(?!</?answer>).)*</answer>\s*", re.DOTALL)


def correct(config: dict[str, Any]) -> RewardFunction:
    """The environment's verifier on the answer: the text in the last <answer>…</answer>, or the whole completion when
    there is no such tag."""
    NoSettings.model_validate(config)

    def mark(environment: Environment, problem: Problem, completion: Completion) -> float:
        return environment.verify(problem, extract_answer(completion.text, completion.opened))

    return mark


def format_(config: dict[str, Any]) -> RewardFunction:
    """1 when the completion is exactly one <think>…</think><answer>…</answer> (R1's format reward, arXiv:2501.12948,
    section 2.2.2), else 0."""
    NoSettings.model_validate(config)

    def mark(_environment: Environment, _problem: Problem, completion: Completion) -> float:
        return float(_R1_FORMAT.fullmatch(completion.opened + completion.text) is not None)

    return mark


def exact(config: dict[str, Any]) -> RewardFunction:
    """1 when the stripped completion equals the reference answer, else 0; None where the problem has none
    (graph_color, rush_hour, … take any solution)."""
    NoSettings.model_validate(config)

    def mark(_environment: Environment, problem: Problem, completion: Completion) -> float | None:
        return None if problem.answer is None else float(completion.text.strip() == problem.answer.strip())

    return mark

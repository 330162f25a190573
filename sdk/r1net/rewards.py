"""Rewards by name. Each scores one completion of one problem; `None` means that it does not apply.

A completion's reward is the weighted sum of the parts that apply. Where none does, it has no reward: its advantage is
0, and its group's mean and deviation are those of the others.

    correct          the environment's verifier on the answer: the text in the last <answer>…</answer>,
                     or the whole completion when there is no such tag
    format           1 when the completion is exactly one <think>…</think><answer>…</answer> (R1's format reward,
                     arXiv:2501.12948, section 2.2.2), else 0
    exact            1 when the stripped completion equals the reference answer, else 0; None where the problem has
                     none (graph_color, rush_hour, … take any solution)

The coordinator recomputes every reward from the token ids, so a reward is a pure function of problem and text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from r1net.environments.base import Environment, Problem
from r1net.errors import UsageError
from r1net.protocol.job import RewardSpec

RewardFunction = Callable[[Environment, Problem, str], float | None]

_OPEN, _CLOSE = "<answer>", "</answer>"
_R1_FORMAT = re.compile(r"\s*<think>(?:(?!</?think>).)*</think>\s*<answer>(?:(?!</?answer>).)*</answer>\s*", re.DOTALL)


def extract_answer(text: str) -> str:
    """The text that counts as the answer of a completion. Takes time in proportion to its length."""
    answer, end = text, 0
    while (begin := text.find(_OPEN, end)) >= 0 and (close := text.find(_CLOSE, begin)) >= 0:
        answer, end = text[begin + len(_OPEN) : close], close + len(_CLOSE)
    return answer.strip()


def _correct(environment: Environment, problem: Problem, text: str) -> float:
    return environment.verify(problem, extract_answer(text))


def _format(environment: Environment, problem: Problem, text: str) -> float:
    return float(_R1_FORMAT.fullmatch(text) is not None)


def _exact(environment: Environment, problem: Problem, text: str) -> float | None:
    return None if problem.answer is None else float(text.strip() == problem.answer.strip())


_REWARDS: dict[str, RewardFunction] = {"correct": _correct, "format": _format, "exact": _exact}


def names() -> list[str]:
    """Every registered reward."""
    return sorted(_REWARDS)


def score(
    environment: Environment, problem: Problem, text: str, rewards: Sequence[RewardSpec]
) -> tuple[float | None, dict[str, float | None]]:
    """Weighted sum and parts of `rewards` for one completion's text; no sum where no part applies.

    Raises UsageError on an unknown name.
    """
    parts: dict[str, float | None] = {}
    total: float | None = None
    for spec in rewards:
        function = _REWARDS.get(spec.name)
        if function is None:
            raise UsageError(f"unknown reward {spec.name!r}", hint=f"use one of {', '.join(names())}")
        part = function(environment, problem, text)
        parts[spec.name] = part
        if part is not None:
            total = (total or 0.0) + spec.weight * part
    return total, parts


def solved(parts: Mapping[str, float | None]) -> bool | None:
    """Whether the verifier gave full marks (the accuracy that evaluations report).

    None where the job's verifiers say nothing of this problem. A job without a verifier solves nothing.
    """
    marks = [parts[name] for name in ("correct", "exact") if name in parts]
    given = [mark for mark in marks if mark is not None]
    return None if marks and not given else any(mark >= 1.0 for mark in given)

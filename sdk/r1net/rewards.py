"""Rewards by name. Each scores one completion of one problem; `None` means that it does not apply.

A completion's reward is the weighted sum of the parts that apply. Where none does, it has no reward: its advantage is
0, and its group's mean and deviation are those of the others.

    correct          the environment's verifier on the answer: the text in the last <answer>…</answer>,
                     or the whole completion when there is no such tag
    format           1 when the completion is exactly one <think>…</think><answer>…</answer> (R1's format reward,
                     arXiv:2501.12948, section 2.2.2), else 0
    exact            1 when the stripped completion equals the reference answer, else 0; None where the problem has
                     none (graph_color, rush_hour, … take any solution)

What the prompt itself opens (R1's template ends in `<think>`, and so do prefills) belongs to what `correct` and
`format` read: see `opened`.

The coordinator recomputes every reward from the token ids, so a reward is a pure function of problem, prompt and text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from r1net.environments.base import Environment, Problem
from r1net.errors import UsageError
from r1net.protocol.job import QUESTION, RewardSpec

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
"""What rewards look for."""

_OPEN, _CLOSE = "<answer>", "</answer>"
_R1_FORMAT = re.compile(r"\s*<think>(?:(?!</?think>).)*</think>\s*<answer>(?:(?!</?answer>).)*</answer>\s*", re.DOTALL)
_OPENED = re.compile(
    r"(?:<think>\s*|(?:^|(?<=[>\]\n]))<think>[^<]*)(?:</think>\s*(?:<answer>[^<]*)?)?\Z"
    r"|<answer>\s*\Z|(?:^|(?<=[>\]\n]))<answer>[^<]*\Z"
)


@dataclass(frozen=True)
class Completion:
    """A completion's text, and what its prompt opened before it."""

    text: str
    opened: str = ""


RewardFunction = Callable[[Environment, Problem, Completion], float | None]


def opened(prompt: str) -> str:
    """The beginning of the answer that a job's prompt makes itself: "<think>" of a template or a prefill, say.

    That is the end of what follows the question, from a `<think>` or `<answer>` on, when no further tag or marker
    comes behind it: an empty or given thought, closed or open, and the beginning of an answer. Where words follow the
    tag, it must begin a line or come right behind a marker: else a sentence about tags would count.
    """
    found = _OPENED.search(prompt.rpartition(QUESTION)[2])
    return found[0] if found else ""


def extract_answer(text: str, opened: str = "") -> str:
    """The text that counts as the answer of a completion. Takes time in proportion to its length."""
    answer, end, text = text, 0, opened + text
    while (begin := text.find(_OPEN, end)) >= 0 and (close := text.find(_CLOSE, begin)) >= 0:
        answer, end = text[begin + len(_OPEN) : close], close + len(_CLOSE)
    return answer.strip()


def _correct(environment: Environment, problem: Problem, completion: Completion) -> float:
    return environment.verify(problem, extract_answer(completion.text, completion.opened))


def _format(_environment: Environment, _problem: Problem, completion: Completion) -> float:
    return float(_R1_FORMAT.fullmatch(completion.opened + completion.text) is not None)


def _exact(_environment: Environment, problem: Problem, completion: Completion) -> float | None:
    return None if problem.answer is None else float(completion.text.strip() == problem.answer.strip())


_REWARDS: dict[str, RewardFunction] = {"correct": _correct, "format": _format, "exact": _exact}


def names() -> list[str]:
    """Every registered reward."""
    return sorted(_REWARDS)


def score(
    environment: Environment, problem: Problem, completion: Completion, rewards: Sequence[RewardSpec]
) -> tuple[float | None, dict[str, float | None]]:
    """Weighted sum and parts of `rewards` for one completion; no sum where no part applies.

    Raises UsageError on an unknown name.
    """
    parts: dict[str, float | None] = {}
    total: float | None = None
    for spec in rewards:
        function = _REWARDS.get(spec.name)
        if function is None:
            raise UsageError(f"unknown reward {spec.name!r}", hint=f"use one of {', '.join(names())}")
        part = function(environment, problem, completion)
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

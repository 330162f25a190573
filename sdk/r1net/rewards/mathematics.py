"""Whether an answer is the reference answer by the rules of mathematics, as math-verify judges it."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from itertools import accumulate
from typing import Any

from r1net.environments.base import Environment, Problem
from r1net.rewards.answers import tagged_answer
from r1net.rewards.base import Completion, RewardFunction, RewardSettings
from r1net.rewards.carried_out import carried_out

_LONGEST = 1000
"""Characters of an answer that are read, its last ones: the library's patterns take more than proportional time."""
_BEHIND_BOX = 200
"""Characters behind a box that belong to its line: a percent sign, or another box."""
_DEEPEST = 40
"""Brackets within brackets: with hundreds, which no answer has, its parser takes seconds."""
_REMEMBERED = 4096

_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|infty"
_FORMULA = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\{[^{}]*\}|\\(?:begin|end)\{[a-z*]+\}"
    r"|\\[A-Za-z]++|\\[^A-Za-z0-9]|(?<![A-Za-z])(?:" + _FUNCTIONS + r"|[A-Za-z])(?![A-Za-z])"
    r"|[0-9\s.,+\-*/^_=<>|!()\[\]{}'&%:;])++"
)
_MORE_THAN_NUMBERS = re.compile(r"[A-Za-z\\=<>|!_\[\]{}&:;']|\([^()]*,|\A[-+]\s")
_NUMBER_AND_UNIT = re.compile(r"[-+]?[\d.,]+\s+[A-Za-z]")
_DELIMITER = re.compile(r"\$|\\\(|\\\[|\\boxed")
_BOX = "\\boxed{"


class MathSettings(RewardSettings):
    """`unfinished`: take expressions that could still be carried out."""

    unfinished: bool = False


def mathematics(config: dict[str, Any]) -> RewardFunction:
    """1 when `math_verify.verify(parse(reference), parse(answer))` (LaTeX and expressions) and the answer, where the
    reference is, is carried out (`r1net.rewards.carried_out`); else 0. With `unfinished` 57 + 12 is 69, too, as the
    library alone has it. None where the problem has no reference answer, or one that the library can't read.

    The answer is the last <answer>…</answer>; without one, the line of the last \\boxed{…}; without that, the whole
    completion. A formula that stands alone, without delimiters, is read as LaTeX.
    """
    unfinished = MathSettings.model_validate(config).unfinished

    def mark(_environment: Environment, problem: Problem, completion: Completion) -> float | None:
        warm()
        if problem.answer is None or not _parsed(_readable(problem.answer)):
            return None
        text = completion.opened + completion.text
        answer = tagged_answer(text)
        gold, found = _readable(problem.answer), _readable(text if answer is None else answer)
        same = _agree(gold, found)
        return same if not same or unfinished or _carried_out(found) or not _carried_out(gold) else 0.0

    return mark


@lru_cache(1)
def warm() -> None:
    """Load the library and let its parser learn the commonest forms, if it hasn't yet: half a second of CPU, which no
    completion shall be charged with."""
    for text in (r"$\frac{1}{2}$", r"$-3x^2+\sqrt{2}$", r"$(1,2)$", r"\boxed{\{1,2\}}", r"$x=\pi$", "1/2", "5%"):
        _agree(text, text)
    _agree.cache_clear()
    _parsed.cache_clear()


def _readable(text: str) -> str:
    """The part of a text that holds its answer, with delimiters where it is a formula."""
    text = _boxed_line(text) or text.strip()[-_LONGEST:].removeprefix("\\$")
    if _deepest(text) > _DEEPEST:
        return ""
    if _DELIMITER.search(text) or "\n" in text.strip():
        return text
    alone = _FORMULA.fullmatch(text) and _MORE_THAN_NUMBERS.search(text) and not _NUMBER_AND_UNIT.fullmatch(text)
    return f"${text}$" if alone else text


def _boxed_line(text: str) -> str | None:
    """The line in which the last \\boxed{…} that closes stands. None where there is none, or it is too long."""
    begin = text.rfind(_BOX)
    if begin < 0:
        return None
    depth = 0
    for end in range(begin + len(_BOX) - 1, min(begin + _LONGEST, len(text))):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            line_end = text.find("\n", end)
            last = min(end + _BEHIND_BOX, len(text) if line_end < 0 else line_end)
            return text[max(text.rfind("\n", 0, begin) + 1, last - _LONGEST) : last]
    return None


def _deepest(text: str) -> int:
    steps = ((char in "([{") - (char in ")]}") for char in text)
    return max(accumulate(steps), default=0)


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> list[Any]:
    # its own limit of time is a signal's, which the sandbox has better: CPU time, and the whole process
    from math_verify import parse  # noqa: PLC0415 - loads sympy, which only graders need

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the limit that is off
    return list(parse(text, parsing_timeout=None))


@lru_cache(_REMEMBERED)
def _carried_out(text: str) -> bool:
    """Of several equations in a row, the end of the last counts."""
    from sympy import And  # noqa: PLC0415

    begin = text.rfind(_BOX)
    end = text[begin + len(_BOX) :] if begin >= 0 else text.rpartition("=")[2]
    read = _parsed(text)
    if read and isinstance(read[0], And):
        read = _parsed(_readable(end.strip(" $")))
    return not read or carried_out(read[0], end)


@lru_cache(_REMEMBERED)
def _agree(gold: str, answer: str) -> float:
    from math_verify import verify  # noqa: PLC0415

    return float(verify(_parsed(gold), _parsed(answer), timeout_seconds=None))

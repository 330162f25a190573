"""A calculator: whole numbers and fractions, + - * / and brackets, computed exactly.

What it reads is a model's text, so it is parsed here and not given to an interpreter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pydantic import Field

from r1net.environments.base import Problem
from r1net.tools.base import Tool, ToolSettings

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([-+*/()]))")
_MOST_CHARACTERS = 200
_MOST_DIGITS = 60
_MOST_DEPTH = 20
_PLACES = 12
"""Digits behind the point of a result that is no whole number."""


class _Settings(ToolSettings):
    """A question stands between `begin` and `end` in the model's turn."""

    begin: str = Field(default="<calc>", min_length=1, max_length=50)
    end: str = Field(default="</calc>", min_length=1, max_length=50)


class BadSum(Exception):
    """The text is no sum, or too large a one."""


def calculator(config: dict[str, Any]) -> Tool:
    """Answers the last question of a turn that has one: "12.5" of <calc>(20 + 5) / 2</calc>. Of what it can't compute
    it says so in words."""
    settings = _Settings.model_validate(config)

    def reply(_problem: Problem, turns: Sequence[str]) -> str | None:
        _, begun, rest = turns[-1].rpartition(settings.begin)
        question, ended, _ = rest.partition(settings.end)
        if not begun or not ended:
            return None
        try:
            return written(compute(question))
        except BadSum as error:
            return f"error: {error}"

    return reply


def compute(text: str) -> Fraction:
    """The value of a sum. Raises BadSum."""
    if len(text) > _MOST_CHARACTERS:
        raise BadSum("too long")
    tokens = _tokens(text.strip())
    value, at = _sum(tokens, 0, 0)
    if at != len(tokens):
        raise BadSum(f"unexpected {tokens[at]}")
    return value


def written(value: Fraction) -> str:
    """A number as a decimal, rounded half to even where it does not end."""
    rounded = round(value * 10**_PLACES)
    whole, part = divmod(abs(rounded), 10**_PLACES)
    sign = "-" if rounded < 0 else ""
    digits = f"{part:0{_PLACES}d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadSum(f"unexpected {text[at:].strip()[:1] or 'end'}")
        found.append(match[1] or match[2])
        at = match.end()
    return found


def _sum(tokens: Sequence[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        term, after = _product(tokens, at + 1, depth)
        value, at = _bounded(value + term if tokens[at] == "+" else value - term), after
    return value, at


def _product(tokens: Sequence[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _factor(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "*/":
        factor, after = _factor(tokens, at + 1, depth)
        if tokens[at] == "/" and factor == 0:
            raise BadSum("division by zero")
        value, at = _bounded(value * factor if tokens[at] == "*" else value / factor), after
    return value, at


def _factor(tokens: Sequence[str], at: int, depth: int) -> tuple[Fraction, int]:
    if depth > _MOST_DEPTH:
        raise BadSum("too deep")
    if at == len(tokens):
        raise BadSum("unexpected end")
    if tokens[at] == "-":
        value, at = _factor(tokens, at + 1, depth + 1)
        return -value, at
    if tokens[at] == "(":
        value, at = _sum(tokens, at + 1, depth + 1)
        if at == len(tokens) or tokens[at] != ")":
            raise BadSum("a bracket is open")
        return value, at + 1
    if tokens[at] in "+*/)":
        raise BadSum(f"unexpected {tokens[at]}")
    return _bounded(Fraction(tokens[at])), at + 1


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) >= 10**_MOST_DIGITS:
        raise BadSum("too large")
    return value

"""Whether a mathematical expression is a result, or still a sum to be done: 57 + 12 is 69, but no answer to "57 + 12?".

math-verify compares values, so that whoever repeats a question in figures is right. A model finds that out: see
tests/benchmarks/RESULTS.md, where SmolLM2-135M came to repeat the questions.
"""

from __future__ import annotations

import re
from math import gcd
from typing import Any

_NUMBER = r"[-+]?\s*(\d[\d.,]*)"
_PART = r"\s*(?:\{\s*" + _NUMBER + r"\s*\}|(\d))"
_FRACTION = re.compile(r"\\[dt]?frac" + _PART + _PART)
_DIVISION = re.compile(_NUMBER + r"\s*\)?\s*/\s*\(?\s*" + _NUMBER)


def carried_out(expression: Any, text: str) -> bool:
    """Whether no part of an expression comes to a number that isn't written as one: as a decimal, a fraction in lowest
    terms, a percentage, or a number times a power of ten. Of an equation its right side counts.

    `expression`: sympy's, unevaluated; `text`: what it was read from, because fractions in LaTeX are evaluated already.
    """
    from sympy import Basic, Equality, MatrixBase  # noqa: PLC0415 - only graders need it

    divided = (*_FRACTION.findall(text), *_DIVISION.findall(text))
    if not all(_written_lowest(*numbers) for numbers in divided):
        return False
    if isinstance(expression, MatrixBase):
        return all(map(_done, expression.flat()))
    if isinstance(expression, Equality):
        expression = expression.rhs
    return not isinstance(expression, Basic) or _done(expression)


def _done(node: Any) -> bool:
    if _numeral(node):
        return True
    if (node.is_Add or node.is_Mul) and sum(bool(part.is_Number and part != -1) for part in node.args) > 1:
        return False
    if node.is_number and node.args and node.doit().is_Number:
        return False
    return all(_done(part) for part in node.args)


def _numeral(node: Any) -> bool:
    """A number as people write one."""
    from sympy import UnevaluatedExpr  # noqa: PLC0415

    if node.is_Number or _power_of_ten(node) or _inverse(node):
        return True
    if not node.is_Mul or len(node.args) != 2:
        return False
    first, other = node.args
    if isinstance(other, UnevaluatedExpr) or _power_of_ten(other):  # a percent sign
        return bool(first.is_Number)
    return bool(_inverse(other) and first.is_Integer and other.base.is_Integer and _lowest(int(first), int(other.base)))


def _power_of_ten(node: Any) -> bool:
    return bool(node.is_Pow and node.base == 10 and node.exp.is_Integer)


def _inverse(node: Any) -> bool:
    return bool(node.is_Pow and node.exp == -1 and node.base.is_Number)


def _written_lowest(*numbers: str) -> bool:
    plain = [number.rstrip(".,").replace(",", "") for number in numbers if number]
    return all(map(str.isdecimal, plain)) and _lowest(*map(int, plain))


def _lowest(top: int, bottom: int) -> bool:
    return bottom > 1 and gcd(top, bottom) == 1

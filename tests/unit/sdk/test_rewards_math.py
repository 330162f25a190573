"""The reward `math` says what math-verify says, of its own examples and of answers as models write them."""

from __future__ import annotations

import json
import logging
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from r1net.environments import Problem, load_environment
from r1net.protocol.job import EnvironmentSpec, RewardSpec
from r1net.rewards import Completion, RewardSet

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the limit of time that is off
ENVIRONMENT = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
MATH = RewardSet([RewardSpec(name="math")])
CASES = json.loads((Path(__file__).parent / "math_verify_cases.json").read_text())["pairs"]


NUMBERS = st.integers(-99, 99)
UNFINISHED = RewardSet([RewardSpec(name="math", config={"unfinished": True})])


def mark(gold: str | None, text: str, opened: str = "", rewards: RewardSet = MATH) -> float | None:
    return rewards.parts(ENVIRONMENT, Problem("", gold, {}), Completion(text, opened))["math"]


def said(gold: str, answer: str) -> float | None:
    """What the library says when it is called directly; None where it can't read the reference."""
    read = parse(gold, parsing_timeout=None)
    return float(verify(read, parse(answer, parsing_timeout=None), timeout_seconds=None)) if read else None


def test_the_librarys_own_examples_are_judged_as_it_judges_them() -> None:
    """Each as a whole completion, and as a tagged answer behind a thought that says something else."""
    assert len(CASES) > 200
    wrong = [
        (gold, answer)
        for gold, answer in CASES
        for text in (answer, f"<think>\\boxed{{17}} or 3</think>\n<answer>{answer}</answer>")
        if mark(gold, text, rewards=UNFINISHED) != said(gold, answer)
    ]
    assert not wrong
    assert {mark(gold, answer) for gold, answer in CASES} == {0.0, 1.0}


def test_of_its_examples_only_those_that_are_not_carried_out_are_judged_otherwise() -> None:
    other = [answer for gold, answer in CASES if mark(gold, answer) != said(gold, answer)]
    assert other == ["Answer \\( (9+1) \\)", "$\\frac3{3} $"]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("1,234", "1234"),
        ("1234567", "1,234,567"),
        ("50%", "0.5"),
        ("50\\%", "50%"),
        ("0.5", "1/2"),
        ("\\frac{1}{2}", "0.5"),
        ("\\$10", "$10.00"),
        ("5", "5 cm"),
        ("10", "10 dollars"),
        ("90^\\circ", "90"),
        ("x+1", "1 + x"),
        ("2\\sqrt{2}", "\\sqrt{8}"),
        ("2\\sqrt{2}", "sqrt(8)"),
        ("(1,2)", "(1, 2)"),
        ("[0,1)", "[0, 1)"),
        ("\\{1,2\\}", "{2,1}"),
        ("x=5", "5"),
        ("5", "x = 5"),
        ("-3", "- 3"),
        ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"),
        ("\\text{Monday}", "\\text{Monday}"),
        ("A", "A"),
    ],
)
def test_answers_without_delimiters_are_read(gold: str, answer: str) -> None:
    assert mark(gold, answer) == mark(gold, f"<answer>\n{answer}\n</answer>") == 1.0


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("3x+1", "3"),
        ("3", "3x+1"),
        ("12:30", "12"),
        ("x^2+1", "x^2"),
        ("\\frac{1}{2}", "2"),
        ("5", ""),
        ("5", "fifty"),
        ("1", "True"),
        ("(1,2)", "(2,1)"),
        ("0.5", "0.51"),
        ("7", "nan"),
    ],
)
def test_other_answers_are_wrong(gold: str, answer: str) -> None:
    """A formula is taken as a whole: the first number in it isn't it."""
    assert mark(gold, f"<answer>{answer}</answer>") == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "57 + 12",
        "12 + 57",
        "$57+12$",
        "\\boxed{57+12}",
        "69 = 57 + 12",
        "1 = 1 = 57 + 12",
        "3*23",
        "3 \\cdot 23",
        "138/2",
        "\\frac{138}{2}",
        "\\frac{57+12}{1}",
        "138.0/2",
        "$1,380/20$",
        "\\frac{-138}{-2}",
        "70-1",
        "69*1",
        "69+0",
        "69^1",
        "\\sqrt{4761}",
        "57+12+x-x",
        "68.5+0.5",
        "\\lfloor 69.5 \\rfloor",
    ],
)
def test_a_sum_that_is_still_to_be_done_is_no_answer(answer: str) -> None:
    """Or else a model learns to repeat the question."""
    assert mark("69", f"<answer>{answer}</answer>") == 0.0


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("69", "57 + 12 = 69"),
        ("0.75", "75%"),
        ("0.75", "3/4"),
        ("300000", "3 \\times 10^5"),
        ("1000", "10^3"),
        ("2^{10}", "2^{10}"),
        ("2^{10}", "1024"),
        ("57+12", "69"),
        ("\\frac{\\sqrt{3}}{2}", "\\frac{\\sqrt{3}}{2}"),
        ("\\frac{1+\\sqrt{5}}{2}", "\\frac{1+\\sqrt{5}}{2}"),
        ("1.5", "1\\frac{1}{2}"),
        ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}"),
    ],
)
def test_a_result_may_be_written_in_many_ways(gold: str, answer: str) -> None:
    assert mark(gold, f"<answer>{answer}</answer>") == 1.0


@settings(max_examples=200)
@given(
    a=st.integers(-99, 99), b=st.integers(-99, 99), sign=st.sampled_from("+-*/"), form=st.sampled_from(["{}", "${}$"])
)
def test_no_question_of_arithmetic_is_its_own_answer(a: int, b: int, sign: str, form: str) -> None:
    question = f"{a} {sign} {b}" if b >= 0 else f"{a} {sign} ({b})"
    if sign == "/" and (b == 0 or (abs(b) > 1 and math.gcd(a, b) == 1)):
        return
    value = Fraction(a, b) if sign == "/" else {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert mark(str(value), f"<answer>{form.format(question)}</answer>") in (0.0, None)
    assert mark(str(value), f"<answer>{form.format(value)}</answer>") == 1.0


def test_where_the_answer_stands() -> None:
    assert mark("7", "<answer>7</answer>") == 1.0
    assert mark("7", "\\boxed{7} <answer>8</answer>") == 0.0
    assert mark("7", "<answer>8</answer> or <answer>\\boxed{7}</answer>") == 1.0
    assert mark("7", "\\boxed{8}, no:\nso we get \\boxed{7}.\n" + "Good. " * 1000) == 1.0
    assert mark("7", "9 " * 5000 + "The answer is 7.") == 1.0
    assert mark("7", "7</answer>", opened="<think>8</think><answer>") == 1.0
    assert mark("7", "\\boxed{\n7\n}") == 1.0


def test_problems_without_a_readable_reference_are_left_out() -> None:
    assert mark(None, "<answer>7</answer>") is None
    assert mark("no solution at all", "<answer>7</answer>") is None
    assert mark("", "<answer></answer>") is None


@settings(max_examples=200)
@given(first=st.integers(-(10**12), 10**12), second=st.integers(-(10**12), 10**12), form=st.sampled_from("ab,cd"))
def test_whole_numbers_are_equal_when_they_are(first: int, second: int, form: str) -> None:
    shown = {"a": f"{second}", "b": f"${second}$", ",": f"{second:,}", "c": f"\\boxed{{{second}}}", "d": f"{second}.0"}
    assert mark(str(first), f"<answer>{shown[form]}</answer>") == float(first == second)
    assert mark(str(second), f"<answer>{shown[form]}</answer>") == 1.0


@settings(max_examples=100)
@given(text=st.text(st.sampled_from("01x/+^{}()$\\ .,%=<frac"), max_size=30))
def test_any_text_has_the_same_mark_again_and_with_another_cache(text: str) -> None:
    from r1net.rewards import mathematics

    first = mark("7", f"<answer>{text}</answer>")
    mathematics._agree.cache_clear()
    mathematics._parsed.cache_clear()
    assert first == mark("7", f"<answer>{text}</answer>")
    assert first in (0.0, 1.0)

"""What may answer a model in the middle of a completion, and how a completion of several turns is taken apart."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.environments.base import Problem
from r1net.errors import UsageError
from r1net.protocol.trace import Trace
from r1net.protocol.turns import Turns, sampled, turns_of
from r1net.tools import make, names
from r1net.tools.calculator import BadSum, compute, written

PROBLEM = Problem("?", None, {})
TURNS = Turns(tool="calculator", reply="\n{reply}\n")


@st.composite
def sums(draw: st.DrawFn, depth: int = 3) -> str:
    """A sum as Python would read it, too, of whole numbers so small that no bound is met."""
    if depth == 0 or draw(st.booleans()):
        return str(draw(st.integers(0, 99)))
    kind = draw(st.sampled_from(["+", "-", "*", "()", "neg"]))
    left = draw(sums(depth=depth - 1))
    if kind == "()":
        return f"({left})"
    if kind == "neg":
        return f"(-{left})"
    return f"({left} {kind} {draw(sums(depth=depth - 1))})"


@given(sums())
def test_sums_are_what_python_says(text: str) -> None:
    assert compute(text) == eval(text)  # the test's own text, of digits and signs


@pytest.mark.parametrize(
    ("text", "value"),
    [("1/3", "0.333333333333"), ("2*(3+4)-1", "13"), ("7/2", "3.5"), ("-1/8", "-0.125"), ("1.5*2", "3"), ("--2", "2")],
)
def test_values_are_written_as_decimals(text: str, value: str) -> None:
    assert written(compute(text)) == value


@pytest.mark.parametrize(
    "text",
    ["", "1+", "(1", "1)", "2**3", "1/0", "x", "__import__('os')", "9" * 100, "(" * 50, "1 2", "1..2", "-" * 100 + "1"],
)
def test_what_is_no_sum_is_an_error(text: str) -> None:
    with pytest.raises(BadSum):
        compute(text)


@given(st.text(max_size=80))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    reply = make(TURNS)(PROBLEM, [text])
    assert reply is None or isinstance(reply, str)
    asked = make(TURNS)(PROBLEM, [f"<calc>{text}</calc>"])
    assert asked is not None
    try:
        assert asked == written(Fraction(compute(text)))
    except BadSum:
        assert asked.startswith("error: ") or "calc>" in text


def test_the_last_question_is_answered() -> None:
    tool = make(TURNS)
    assert tool(PROBLEM, ["<calc>1+1</calc> or <calc>2+2</calc>"]) == "4"
    assert tool(PROBLEM, ["<calc>1+1</calc>", "it is 2"]) is None
    assert tool(PROBLEM, ["<calc>1+1"]) is None
    own = make(TURNS.model_copy(update={"config": {"begin": "[", "end": "]"}}))
    assert own(PROBLEM, ["[6*7]"]) == "42"


def test_unknown_tools_and_settings_are_refused() -> None:
    assert "calculator" in names()
    with pytest.raises(UsageError, match="unknown tool 'oracle'"):
        make(TURNS.model_copy(update={"tool": "oracle"}))
    with pytest.raises(UsageError, match="refuses its settings: digits"):
        make(TURNS.model_copy(update={"config": {"digits": 3}}))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=9).filter(lambda sizes: len(sizes) % 2 == 1))
def test_turns_and_answers_make_up_a_completion(sizes: list[int]) -> None:
    edges = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    spans = tuple((edges[n], edges[n + 1]) for n in range(1, len(sizes), 2))
    ids = list(range(edges[-1]))
    own = [place for turn in turns_of(ids, spans) for place in turn]
    assert own == sampled(len(ids), spans)
    assert sorted([*own, *(place for begin, end in spans for place in range(begin, end))]) == ids


def trace(**changes: object) -> dict[str, object]:
    return {
        "job_id": "0x" + "00" * 32,
        "split": "train",
        "round": 0,
        "group": 0,
        "index": 0,
        "policy": "0x" + "00" * 32,
        "worker": "0x" + "00" * 20,
        "prompt_ids": (1,),
        "completion_ids": (1, 2, 3, 4),
        "logprobs": (-1.0, 0.0, 0.0, -1.0),
        "reward_parts": {},
        "reward": None,
        "finish_reason": "stop",
        "seed": 0,
    } | changes


def test_spans_are_in_order_and_were_not_sampled() -> None:
    assert Trace.model_validate(trace(given=((1, 3),))).tokens == 2
    for spans in (((0, 2),), ((2, 4),), ((2, 2),), ((2, 1),), ((1, 2), (2, 3)), ((1, 9),)):
        with pytest.raises(ValueError, match="given"):
            Trace.model_validate(trace(given=spans))
    with pytest.raises(ValueError, match="a given token has a log-probability"):
        Trace.model_validate(trace(given=((1, 3),), logprobs=(-1.0, -0.5, 0.0, -1.0)))


def test_a_trace_of_one_turn_has_the_digest_that_it_always_had() -> None:
    plain = Trace.model_validate(trace())
    assert b"given" not in plain.canonical()
    assert b"given" in Trace.model_validate(trace(given=((1, 3),))).canonical()

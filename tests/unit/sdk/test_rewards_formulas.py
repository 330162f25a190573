"""Rewards that are formulas, against their origins: TRL's own functions where TRL has them, and open-r1's and IFEval's
as their published source states them, restated here.

open-r1: https://github.com/huggingface/open-r1, src/open_r1/rewards.py at 1416fa0 (`tag_count_reward`,
`get_cosine_scaled_reward`, `get_repetition_penalty_reward`).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from trl.rewards import get_cosine_scaled_reward, get_repetition_penalty_reward

from r1net.environments import Problem, load_environment
from r1net.errors import UsageError
from r1net.protocol.code import RewardCode
from r1net.protocol.job import EnvironmentSpec, FileRef, RewardSpec
from r1net.rewards import Completion, RewardSet, verifiers
from r1net.rewards.cosine import half_turn

ENVIRONMENT = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
SEVEN, UNKNOWN = Problem("", "7", {}), Problem("", None, {})
RIGHT, WRONG = "<answer>\\boxed{7}</answer>", "<answer>\\boxed{8}</answer>"
TAGS = ["<think>", "</think>", "<answer>", "</answer>", "\n", "\n\n", "so ", "7"]
CODE = RewardCode(source=FileRef(sha256="0x" + "11" * 32, size=1), function="score", python="3.11")


def mark(
    name: str, config: dict[str, Any], text: str = "", tokens: int = 0, opened: str = "", problem: Problem = SEVEN
) -> float | None:
    completion = Completion(text, opened, tokens)
    return RewardSet([RewardSpec(name=name, config=config)]).parts(ENVIRONMENT, problem, completion)[name]


def open_r1_tags(text: str) -> float:
    counts = [text.count(tag) for tag in ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")]
    return sum(0.25 for count in counts if count == 1)


@given(parts=st.lists(st.sampled_from(TAGS), max_size=16), cut=st.integers(0, 16))
def test_tag_count_is_open_r1s(parts: list[str], cut: int) -> None:
    """Also where the prompt began it."""
    text = "".join(parts)
    assert mark("tag_count", {}, text) == open_r1_tags(text)
    assert mark("tag_count", {}, "".join(parts[cut:]), opened="".join(parts[:cut])) == open_r1_tags(text)


def test_all_tags_are_worth_one() -> None:
    assert mark("tag_count", {}, "<think>\na\n</think>\n<answer>\n7\n</answer>") == 1.0
    assert mark("tag_count", {}, "<think>a</think><answer>7</answer>") == 0.0


LIMITS = st.floats(-10, 10)
BOUNDS = ("min_value_wrong", "max_value_wrong", "min_value_correct", "max_value_correct")


@given(tokens=st.integers(0, 3000), longest=st.integers(1, 2000), bounds=st.tuples(LIMITS, LIMITS, LIMITS, LIMITS))
def test_cosine_is_trls(tokens: int, longest: int, bounds: tuple[float, ...]) -> None:
    values = dict(zip(BOUNDS, bounds, strict=True))
    theirs = get_cosine_scaled_reward(max_len=longest, **values)
    for text in (RIGHT, WRONG):
        found = mark("cosine", {"of": {"name": "math"}, "max_len": longest, **values}, text, tokens)
        expected = theirs([[{"content": text}]], ["$7$"], [[1] * tokens])[0]
        assert found == pytest.approx(expected, abs=1e-12)


@given(tokens=st.integers(0, 1000), right=st.booleans())
def test_cosine_is_open_r1s_up_to_the_longest(tokens: int, right: bool) -> None:
    """Its defaults; it counts characters, which are tokens here."""
    low, high = (0.5, 1.0) if right else (-0.5, -1.0)
    expected = low + 0.5 * (high - low) * (1.0 + math.cos(tokens / 1000 * math.pi))
    assert mark("cosine", {"of": {"name": "math"}}, RIGHT if right else WRONG, tokens) == pytest.approx(
        expected, abs=1e-12
    )


def test_cosine_does_not_apply_where_its_verifier_does_not() -> None:
    assert mark("cosine", {"of": {"name": "math"}}, RIGHT, problem=UNKNOWN) is None


@given(share=st.floats(0, 1))
def test_the_cosine_of_plain_arithmetic_is_the_cosine(share: float) -> None:
    assert half_turn(share) == pytest.approx(math.cos(math.pi * share), abs=5e-16)
    assert -1.0 <= half_turn(share) <= 1.0


@given(
    words=st.lists(st.sampled_from(["so", "So", "we", "add", "1", "2"]), max_size=40),
    size=st.integers(1, 6),
    most=st.floats(-10, 0),
)
def test_repetition_is_trls_and_open_r1s(words: list[str], size: int, most: float) -> None:
    """TRL takes token ids: here one for each word. open-r1 gives an empty completion and a short one 0."""
    text = " ".join(words)
    lowered = [word.lower() for word in text.split()]
    ids = [sorted(set(lowered)).index(word) for word in lowered]
    found = mark("repetition", {"ngram_size": size, "max_penalty": most}, text)
    theirs = get_repetition_penalty_reward(ngram_size=size, max_penalty=most)
    assert found == pytest.approx(theirs([ids])[0], abs=1e-12)
    grams = [tuple(lowered[n : n + size]) for n in range(len(lowered) - size + 1)]
    assert found == pytest.approx((1 - len(set(grams)) / len(grams)) * most if grams else 0.0, abs=1e-12)


@given(tokens=st.integers(0, 500), target=st.integers(1, 200))
def test_length_is_a_linear_penalty(tokens: int, target: int) -> None:
    """LCPO-Exact (arXiv:2503.04697, eq. 1) with the weight 1 / target, bounded below."""
    expected = max(0.0, 1.0 - abs(target - tokens) / target)
    assert mark("length", {"target": target}, tokens=tokens) == pytest.approx(expected, abs=1e-12)


@given(tokens=st.integers(0, 500), low=st.integers(1, 200), high=st.integers(1, 200))
def test_between_the_bounds_every_length_is_right(tokens: int, low: int, high: int) -> None:
    assume(low <= high)
    found = mark("length", {"min": low, "max": high}, tokens=tokens)
    assert found is not None
    assert (found == 1.0) == (low <= tokens <= high)
    assert 0.0 <= found <= 1.0
    assert found == min(
        mark("length", {"min": low}, tokens=tokens) or 0, mark("length", {"max": high}, tokens=tokens) or 0
    )


PARTS: list[dict[str, Any]] = [
    {"name": "math", "weight": 2.0},
    {"name": "tag_count", "weight": -0.5},
    {"name": "length", "config": {"target": 10}},
]


@given(
    tokens=st.integers(0, 30), right=st.booleans(), low=st.none() | st.floats(-1, 0), high=st.none() | st.floats(0, 1)
)
def test_sum_and_product(tokens: int, right: bool, low: float | None, high: float | None) -> None:
    text = "<think>\n" + (RIGHT if right else WRONG)
    marks = [float(right), 0.25, max(0.0, 1 - abs(10 - tokens) / 10)]
    weighted = [mark * weight for mark, weight in zip(marks, (2.0, -0.5, 1.0), strict=True)]
    for name, plain in (("sum", sum(weighted)), ("product", math.prod(weighted))):
        bounded = min(math.inf if high is None else high, max(-math.inf if low is None else low, plain))
        assert mark(name, {"of": PARTS, "low": low, "high": high}, text, tokens) == pytest.approx(bounded, abs=1e-12)


@pytest.mark.parametrize("name", ["sum", "product"])
def test_parts_that_do_not_apply_are_left_out(name: str) -> None:
    parts = [{"name": "math"}, {"name": "exact"}, {"name": "length", "config": {"target": 4}, "weight": 3}]
    assert mark(name, {"of": parts}, "7", 2, problem=UNKNOWN) == 1.5
    assert mark(name, {"of": parts[:2]}, "7", 2, problem=UNKNOWN) is None


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("math", {"strict": False}, "strict: there is no such setting"),
        ("length", {}, "say either target"),
        ("length", {"target": 3, "max": 4}, "say either target"),
        ("length", {"min": 5, "max": 4}, "min is more than max"),
        ("length", {"target": 0}, "target: 0 is not"),
        ("repetition", {"max_penalty": 0.5}, "max_penalty: 0.5 is not"),
        ("repetition", {"ngram_size": 0}, "ngram_size"),
        ("cosine", {"max_len": 0}, "max_len"),
        ("cosine", {"min_value_wrong": float("nan")}, "finite number"),
        ("cosine", {"of": {"name": "kindness"}}, "unknown reward 'kindness'"),
        ("cosine", {"of": {"name": "math", "config": {"x": 1}}}, "'math' refuses its settings: x"),
        ("sum", {}, "of: it is missing"),
        ("sum", {"of": []}, "of: "),
        ("sum", {"of": [{"name": "math"}] * 17}, "of: "),
        ("sum", {"of": [{"name": "math"}], "low": 1, "high": 0}, "low is more than high"),
        ("product", {"of": [{"name": "sum", "config": {"of": "x"}}]}, "'sum' refuses its settings: of"),
        ("language", {}, "language: it is missing"),
        ("language", {"language": "english"}, "no language 'english'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        RewardSet([RewardSpec(name=name, config=config)])


@pytest.mark.parametrize("own", [{"name": "mine", "code": CODE.model_dump()}, {"name": "code"}])
def test_what_runs_code_is_no_part_of_another_reward(own: dict[str, Any]) -> None:
    for config in ({"of": [own]}, {"of": [{"name": "math"}, {"name": "sum", "config": {"of": [own]}}]}):
        with pytest.raises(UsageError, match="runs code, and stands for itself"):
            RewardSet([RewardSpec(name="sum", config=config)])
    with pytest.raises(UsageError, match="runs code, and stands for itself"):
        RewardSet([RewardSpec(name="cosine", config={"of": own})])
    assert RewardSet([RewardSpec.model_validate(own)]).parts(ENVIRONMENT, SEVEN, Completion("")) == {}


def test_rewards_in_rewards_have_a_bound() -> None:
    """They are read outside the sandbox too, and a stranger writes them."""
    deep: dict[str, Any] = {"name": "math"}
    for _ in range(3):
        deep = {"name": "sum", "config": {"of": [deep]}}
    RewardSet([RewardSpec.model_validate(deep)])
    with pytest.raises(UsageError, match="more than 4 levels"):
        RewardSet([RewardSpec(name="sum", config={"of": [deep]})])
    for _ in range(30):
        deep = {"name": "product", "config": {"of": [deep] * 16}}
    with pytest.raises(UsageError, match="more than 64 parts"):
        RewardSet([RewardSpec.model_validate(deep)])


def test_verifiers_are_found_wherever_they_are() -> None:
    nested = RewardSpec(name="cosine", config={"of": {"name": "sum", "config": {"of": PARTS}}})
    assert [spec.name for spec in verifiers([nested, RewardSpec(name="format")])] == ["math"]
    assert [spec.name for spec in verifiers([RewardSpec(name="cosine")])] == ["correct"]
    assert [spec.name for spec in verifiers([nested, RewardSpec(name="math"), RewardSpec(name="exact")])] == [
        "exact",
        "math",
    ]

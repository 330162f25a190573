"""IFEval's instructions, against their origin's own checkers (the package if-verifiable has Google's)."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from if_verifiable.ifeval.instructions_registry import INSTRUCTION_DICT

from r1net.environments import Problem, load_environment
from r1net.protocol.job import EnvironmentSpec, RewardSpec
from r1net.rewards import Completion, RewardSet
from r1net.rewards.ifeval import follows, names

ENVIRONMENT = load_environment(EnvironmentSpec(name="reasoning_gym:chain_sum"))
INSTRUCTIONS = RewardSet([RewardSpec(name="instructions")])

PIECES = [
    *("word", "Word", "WORD", "other", "a", "the", "is", "Section 1", "Section2", "SECTION 3", "My answer is yes."),
    *(
        " ",
        " ",
        " ",
        "\n",
        "\n\n",
        "***",
        "******",
        "*",
        "* point",
        "\n* a",
        "\n- b",
        "**bold**",
        "*it*",
        "-",
        "\n  * c",
    ),
    *(",", ".", "!", "?", '"', "'", "[name]", "[", "]", "<<title>>", "<<", ">>", "P.S. x", "p.p.s", "P. P. S", "p. s."),
    *("```json", "```", "{}", '{"a": 1}', "[1]", "The end.", "Q: word", "é", "ß"),
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join), st.text(string.printable, max_size=40)
).filter(lambda text: text.strip() and not any(line.strip() == "*" for line in text.split("\n")))
"""Without a lone star on a line: the origin's pattern takes the line behind it for its point."""

COUNTS, RELATIONS = st.integers(0, 6), st.sampled_from(["less than", "at least"])
WORDS = st.sampled_from(["word", "Word", "other", "is", "end", "the"])
LISTS = st.lists(WORDS, min_size=1, max_size=3)
SETTINGS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "keywords:existence": {"keywords": LISTS},
    "keywords:frequency": {"keyword": WORDS, "frequency": COUNTS, "relation": RELATIONS},
    "keywords:forbidden_words": {"forbidden_words": LISTS},
    "keywords:letter_frequency": {
        "letter": st.sampled_from("aAeoW"),
        "let_frequency": COUNTS,
        "let_relation": RELATIONS,
    },
    "length_constraints:number_paragraphs": {"num_paragraphs": COUNTS},
    "length_constraints:number_words": {"num_words": COUNTS, "relation": RELATIONS},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": st.just(2),
        "nth_paragraph": st.integers(1, 2),
        "first_word": WORDS,
    },
    "detectable_content:number_placeholders": {"num_placeholders": COUNTS},
    "detectable_content:postscript": {"postscript_marker": st.sampled_from(["P.S.", "P.P.S"])},
    "detectable_format:number_bullet_lists": {"num_bullets": COUNTS},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": COUNTS},
    "detectable_format:multiple_sections": {
        "section_spliter": st.sampled_from(["Section", "SECTION"]),
        "num_sections": COUNTS,
    },
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": st.sampled_from(["Word", "q: word", "the"])},
    "startend:end_checker": {"end_phrase": st.sampled_from(["The end.", "word", "is "])},
    "startend:quotation": {},
    "punctuation:no_comma": {},
}
OWN = {
    "language:response_language",
    "length_constraints:number_sentences",
    "change_case:capital_word_frequency",
    "change_case:english_capital",
    "change_case:english_lowercase",
}
"""Their origin draws samples, or needs files that it downloads."""


def test_every_instruction_of_the_origin_is_there() -> None:
    assert set(names()) == set(INSTRUCTION_DICT) == set(SETTINGS) | OWN


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=300)
@given(data=st.data(), text=TEXTS)
def test_followed_is_what_the_origin_finds_followed(name: str, data: st.DataObject, text: str) -> None:
    given_settings = {key: data.draw(values) for key, values in SETTINGS[name].items()}
    origin = INSTRUCTION_DICT[name](name)
    origin.build_description(**given_settings)
    assert follows(name, given_settings, text) == bool(origin.check_following(text))


ENGLISH = "Dr. Smith went home. He was tired! Was he? Yes, e.g. after work"


@pytest.mark.parametrize(
    ("name", "values", "text", "followed"),
    [
        ("language:response_language", {"language": "de"}, "Das ist wirklich eine sehr schöne Antwort.", True),
        ("language:response_language", {"language": "en"}, "Das ist wirklich eine sehr schöne Antwort.", False),
        ("language:response_language", {"language": "xx"}, "This is English, is it not?", None),
        ("length_constraints:number_sentences", {"num_sentences": 4, "relation": "at least"}, ENGLISH, True),
        ("length_constraints:number_sentences", {"num_sentences": 4, "relation": "less than"}, ENGLISH, False),
        ("length_constraints:number_sentences", {"num_sentences": 5, "relation": "at least"}, ENGLISH, False),
        ("length_constraints:number_sentences", {"num_sentences": 1, "relation": "at least"}, "... ! ?", False),
        ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "3.14 is pi", True),
        (
            "change_case:capital_word_frequency",
            {"capital_frequency": 2, "capital_relation": "at least"},
            "A-B, CD",
            True,
        ),
        (
            "change_case:capital_word_frequency",
            {"capital_frequency": 3, "capital_relation": "at least"},
            "A-B, CD",
            False,
        ),
        ("change_case:english_capital", {}, "THIS IS A LONG ANSWER IN ENGLISH.", True),
        ("change_case:english_capital", {}, "THIS IS a LONG ANSWER IN ENGLISH.", False),
        ("change_case:english_capital", {}, "DAS IST EINE LANGE DEUTSCHE ANTWORT.", False),
        ("change_case:english_lowercase", {}, "this is a long answer in english.", True),
        ("change_case:english_lowercase", {}, "This is a long answer in english.", False),
        ("keywords:existence", {"keywords": ["c++"]}, "I like C++ best", True),
        ("keywords:frequency", {"keyword": "a.b", "frequency": 1, "relation": "at least"}, "axb", False),
        ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, "# #", True),
        ("keywords:existence", {}, "x", None),
        ("keywords:existence", {"keywords": "word"}, "word", None),
        ("keywords:frequency", {"keyword": "w", "frequency": 1, "relation": "at most"}, "w", None),
        ("punctuation:no_comma", {"colour": "red"}, "w", None),
        ("no:such", {}, "w", None),
    ],
)
def test_what_is_stated_here(name: str, values: dict[str, Any], text: str, followed: bool | None) -> None:
    assert follows(name, values, text) is followed


def mark(entry: dict[str, Any], text: str, opened: str = "") -> float | None:
    return INSTRUCTIONS.parts(ENVIRONMENT, Problem("", None, entry), Completion(text, opened))["instructions"]


ROW = {
    "key": 1000,
    "prompt": "Write a word. No commas.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words", "detectable_format:title"],
    "kwargs": [
        {"num_words": None, "relation": None},
        {"num_words": 3, "relation": "less than", "keywords": None},
        {},
    ],
}


def test_the_mark_is_the_share_that_the_reply_follows() -> None:
    assert mark(ROW, "<<one>>") == 1.0
    assert mark(ROW, "a, b, c") == 0.0
    assert mark(ROW, "one two") == pytest.approx(2 / 3)
    assert mark(ROW, "a, b, c, d, e</think>\n<answer><<one>></answer>", opened="<think>") == 1.0
    assert mark(ROW, "<think>a, b</think><<one>>") == 1.0
    assert mark(ROW, "<think><<one>>") == mark(ROW, "") == mark(ROW, "<answer> </answer>") == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"instruction_id_list": []},
        {"instruction_id_list": ["punctuation:no_comma"]},
        {"instruction_id_list": None},
        {"kwargs": None},
        {"kwargs": "[]"},
        {"kwargs": [None, None, None]},
        {"instruction_id_list": ["punctuation:no_comma", "no:such", "detectable_format:title"]},
        {"kwargs": [{}, {"num_words": "many", "relation": "less than"}, {}]},
        {"kwargs": [{}, {"num_words": -1, "relation": "less than"}, {}]},
    ],
)
def test_rows_without_instructions_that_can_be_judged_are_left_out(changes: dict[str, Any]) -> None:
    assert mark(ROW | changes, "<<one>>") is None
    assert mark({"answer": "7"}, "<<one>>") is None

"""The 25 verifiable instructions of IFEval (arXiv:2311.07911, table 1), under their names in the data set
google/IFEval.

They are stated anew, because their origin draws at random (what a row leaves out; langdetect's samples) and needs files
that nltk downloads. What differs: keywords are text, not patterns; a text's language is `languages.identify`'s, and a
text that tells none is in no language; sentences and words are cut as below.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, validate_call
from pydantic_core import from_json

from r1net.rewards.languages import LANGUAGES, identify

Relation = Literal["less than", "at least"]
Count = Annotated[int, Field(ge=0)]
Phrase = Annotated[str, StringConstraints(min_length=1)]
Phrases = Annotated[list[Phrase], Field(min_length=1)]

_ABBREVIATED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Inc|Ltd|Co|vs|e\.g|i\.e)|(?<![A-Za-z])[A-Z])\.\Z")
_SENTENCE_END = re.compile(r"[.!?。！？]+[\"'”’)\]]*(?=\s|\Z)")
_WORD = re.compile(r"\w+")
_SPACED_WORD = re.compile(r"[\w'’-]+")
_FENCES = ("```json", "```Json", "```JSON", "```")


def follows(name: str, settings: dict[str, Any], text: str) -> bool | None:
    """Whether `text` follows the instruction; None where there is no such instruction, or not with these settings."""
    check = _CHECKS.get(name)
    if check is None:
        return None
    try:
        return check(text, **settings)
    except (ValidationError, TypeError):
        return None


def _holds(count: int, relation: Relation, bound: int) -> bool:
    return count < bound if relation == "less than" else count >= bound


def _occurrences(phrase: str, text: str) -> int:
    return len(re.findall(re.escape(phrase), text, re.IGNORECASE))


def _existence(text: str, /, *, keywords: Phrases) -> bool:
    return all(_occurrences(keyword, text) for keyword in keywords)


def _frequency(text: str, /, *, keyword: Phrase, frequency: Count, relation: Relation) -> bool:
    return _holds(_occurrences(keyword.strip(), text), relation, frequency)


def _forbidden_words(text: str, /, *, forbidden_words: Phrases) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words)


def _letter_frequency(
    text: str,
    /,
    *,
    letter: Annotated[str, StringConstraints(min_length=1, max_length=1)],
    let_frequency: Count,
    let_relation: Relation,
) -> bool:
    return _holds(text.lower().count(letter.lower()), let_relation, let_frequency)


def _response_language(text: str, /, *, language: str) -> bool:
    if language not in LANGUAGES:
        raise TypeError(f"no language {language!r}")
    return identify(text) == language


def _number_sentences(text: str, /, *, num_sentences: Count, relation: Relation) -> bool:
    return _holds(_sentences(text), relation, num_sentences)


def _sentences(text: str) -> int:
    """Sentences: what has a word and ends in a full stop, question or exclamation mark before white space, unless it
    is an abbreviation's or initial's; and words behind the last of them."""
    ends = [
        end.end()
        for end in _SENTENCE_END.finditer(text)
        if end[0] != "." or not _ABBREVIATED.search(text, max(0, end.end() - 10), end.end())
    ]
    return sum(_WORD.search(text, begin, end) is not None for begin, end in pairwise([0, *ends, len(text)]))


def _number_paragraphs(text: str, /, *, num_paragraphs: Count) -> bool:
    first, *others = (bool(part.strip()) for part in re.split(r"\s?\*\*\*\s?", text))
    if not all(others[:-1]):
        return False
    return first + len(others[:-1]) + sum(others[-1:]) == num_paragraphs


def _number_words(text: str, /, *, num_words: Count, relation: Relation) -> bool:
    return _holds(len(_WORD.findall(text)), relation, num_words)


def _nth_paragraph_first_word(
    text: str, /, *, num_paragraphs: Count, nth_paragraph: Annotated[int, Field(ge=1)], first_word: Phrase
) -> bool:
    parts = text.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    if count != num_paragraphs or nth_paragraph > count or not parts[nth_paragraph - 1].strip():
        return False
    word = parts[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", word)[0].lower() == first_word.lower()


def _number_placeholders(text: str, /, *, num_placeholders: Count) -> bool:
    found = 0
    for line in text.split("\n"):
        end = 0
        while (begin := line.find("[", end)) >= 0 and (close := line.find("]", begin)) >= 0:
            found, end = found + 1, close + 1
    return found >= num_placeholders


def _postscript(text: str, /, *, postscript_marker: Phrase) -> bool:
    marks = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    mark = marks.get(postscript_marker.strip(), re.escape(postscript_marker.strip().lower()))
    return re.search(mark, text.lower()) is not None


def _number_bullet_lists(text: str, /, *, num_bullets: Count) -> bool:
    lines = [line.lstrip() for line in text.split("\n")]
    starred = sum(line[:1] == "*" and line[1:2] not in ("*", "") for line in lines)
    return starred + sum(line[:1] == "-" for line in lines) == num_bullets


def _constrained_response(text: str, /) -> bool:
    return any(f"My answer is {word}." in text for word in ("yes", "no", "maybe"))


def _number_highlighted_sections(text: str, /, *, num_highlights: Count) -> bool:
    single = (part.strip("*").strip() for part in re.findall(r"\*[^\n*]*\*", text))
    double = (part[2:-2].strip() for part in re.findall(r"\*\*[^\n*]*\*\*", text))
    return sum(map(bool, single)) + sum(map(bool, double)) >= num_highlights


def _multiple_sections(text: str, /, *, section_spliter: Phrase, num_sections: Count) -> bool:
    return len(re.findall(re.escape(section_spliter.strip()) + r"\s?\d+", text)) >= num_sections


def _json_format(text: str, /) -> bool:
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        from_json(text.removesuffix("```").strip())
    except ValueError:
        return False
    return True


def _title(text: str, /) -> bool:
    lines = ((line, line.find("<<"), line.rfind(">>")) for line in text.split("\n"))
    return any(line[begin:end].lstrip("<").rstrip(">").strip() for line, begin, end in lines if 0 <= begin < end - 2)


def _two_responses(text: str, /) -> bool:
    first, *others = (part.strip() for part in text.split("******"))
    given = [part for part in (first, *others) if part]
    return all(others[:-1]) and len(given) == 2 and given[0] != given[1]


def _repeat_prompt(text: str, /, *, prompt_to_repeat: Phrase) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _end_checker(text: str, /, *, end_phrase: Phrase) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quotation(text: str, /) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def _capital_word_frequency(text: str, /, *, capital_frequency: Count, capital_relation: Relation) -> bool:
    return _holds(sum(word.isupper() for word in _SPACED_WORD.findall(text)), capital_relation, capital_frequency)


def _english_capital(text: str, /) -> bool:
    return text.isupper() and identify(text) == "en"


def _english_lowercase(text: str, /) -> bool:
    return text.islower() and identify(text) == "en"


def _no_comma(text: str, /) -> bool:
    return "," not in text


_STATED: dict[str, Callable[..., bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _response_language,
    "length_constraints:number_sentences": _number_sentences,
    "length_constraints:number_paragraphs": _number_paragraphs,
    "length_constraints:number_words": _number_words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_first_word,
    "detectable_content:number_placeholders": _number_placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _number_bullet_lists,
    "detectable_format:constrained_response": _constrained_response,
    "detectable_format:number_highlighted_sections": _number_highlighted_sections,
    "detectable_format:multiple_sections": _multiple_sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end_checker,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _capital_word_frequency,
    "change_case:english_capital": _english_capital,
    "change_case:english_lowercase": _english_lowercase,
    "punctuation:no_comma": _no_comma,
}
_CHECKS = {name: validate_call(check) for name, check in _STATED.items()}


def names() -> list[str]:
    """Every instruction there is."""
    return sorted(_CHECKS)

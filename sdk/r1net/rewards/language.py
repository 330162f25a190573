"""Whether a thought keeps to one language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import field_validator

from r1net.environments.base import Environment, Problem
from r1net.rewards.answers import thought
from r1net.rewards.base import Completion, RewardFunction, RewardSettings
from r1net.rewards.languages import LANGUAGES, identify, load

_NO_WORDS = re.compile(r"\\[A-Za-z]++|</?\w{1,20}>")
"""LaTeX's commands, and tags."""
_ENDS = frozenset(".!?。！？\n")
_ENOUGH = 4
"""Words that tell a language. A piece ends with a sentence or line only when it has so many."""
_SYLLABIC = {"CJK": "HAN", "HIRAGANA": "HAN", "KATAKANA": "HAN", "HALFWIDTH": "HAN"}
_UNSPACED = frozenset({"HAN", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})
"""Scripts without spaces between words: each letter counts as one."""


class _Settings(RewardSettings):
    language: str

    @field_validator("language")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in LANGUAGES:
            raise ValueError(f"no language {value[:20]!r}; use one of {', '.join(sorted(LANGUAGES))}")
        return value


def language(config: dict[str, Any]) -> RewardFunction:
    """The share of the thought's words that are in `language` (ISO 639-1): R1's language consistency reward
    (arXiv:2501.12948, section 2.3.2). The thought is what <think> opens; without one, the whole completion. 0 where
    there are no words.

    Numbers, single letters and LaTeX commands are no words. The language is that of the piece in which a word stands:
    of one script, and of a few sentences.
    """
    settings = _Settings.model_validate(config)

    def mark(_environment: Environment, _problem: Problem, completion: Completion) -> float:
        load()
        text = completion.opened + completion.text
        inside = thought(text)
        pieces = list(_pieces(text if inside is None else inside))
        words = sum(piece.size for piece in pieces)
        right = sum(piece.size for piece in pieces if identify(piece.text) == settings.language)
        return right / words if words else 0.0

    return mark


@dataclass
class _Piece:
    """Words of one script, in a row."""

    script: str
    words: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many words it counts for."""
        return sum(map(len, self.words)) if self.script in _UNSPACED else len(self.words)

    @property
    def text(self) -> str:
        """Its words as text."""
        return ("" if self.script in _UNSPACED else " ").join(self.words)


def _pieces(text: str) -> Iterator[_Piece]:
    """Cut a text where the script changes, and at ends of sentences and lines."""
    piece = _Piece("")
    for script, word in _words(_NO_WORDS.sub(" ", text)):
        if (not script and piece.size >= _ENOUGH) or (script and script != piece.script):
            if piece.words:
                yield piece
            piece = _Piece(script or piece.script)
        if script:
            piece.words.append(word)
    if piece.words:
        yield piece


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Each word with its script; and, with none, each end of a sentence or line."""
    script, begin = "", 0
    for place, char in enumerate(text + "\n"):
        kind = _script(char)
        if kind in ("MARK", script):
            continue
        if script and (place - begin > 1 or script in _UNSPACED):
            yield script, text[begin:place]
        if char in _ENDS:
            yield "", char
        script, begin = kind, place


@lru_cache(65536)
def _script(char: str) -> str:
    """The script of a letter; MARK for what modifies one or joins two, nothing for all else."""
    if char in "'’" or unicodedata.category(char)[0] == "M":
        return "MARK"
    if not char.isalpha():
        return ""
    first = unicodedata.name(char, "").partition(" ")[0]
    return _SYLLABIC.get(first, first)

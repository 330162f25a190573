"""What a submitter is told of the own data before paying: what comes twice, and what training says of the test."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

GRAM = 8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Report:
    """`rows` of training and `heldout` ones that go into the job. `duplicates` were the same as an earlier row and are
    left out; `leaked` rows of training asked a held-out question and are left out too. `overlapping` held-out questions
    share 8 words in a row with a question of training; `revealed` rows have their answer, as a word of its own, in
    their question: both may be as it should be."""

    rows: int
    heldout: int
    duplicates: int = 0
    leaked: int = 0
    overlapping: int = 0
    revealed: int = 0

    def lines(self) -> Iterator[str]:
        """The report in words, one finding to a line."""
        yield f"{self.rows} rows to train on, {self.heldout} held out"
        if self.duplicates:
            yield f"{self.duplicates} rows came twice and are left out"
        if self.leaked:
            yield f"{self.leaked} rows to train on asked a held-out question and are left out"
        if self.overlapping:
            yield f"{self.overlapping} of {self.heldout} held-out questions share {GRAM} words in a row with training"
        if self.revealed:
            yield f"{self.revealed} rows have their answer in their question"


class Overlap:
    """Which held-out questions share `GRAM` words in a row with what is trained on."""

    def __init__(self) -> None:
        self._of: defaultdict[int, set[int]] = defaultdict(set)
        self._count = 0
        self.found: set[int] = set()

    def hold_out(self, question: str) -> None:
        """Take note of a held-out question."""
        for gram in grams(question):
            self._of[gram].add(self._count)
        self._count += 1

    def train_on(self, question: str) -> None:
        """Compare a question of training."""
        for gram in grams(question):
            if gram in self._of:
                self.found |= self._of[gram]


def grams(text: str) -> Iterator[int]:
    """The hashes of all runs of `GRAM` words."""
    words = _WORD.findall(text.lower())
    for at in range(len(words) - GRAM + 1):
        yield hash(tuple(words[at : at + GRAM]))


def reveals(question: str, answer: str | None) -> bool:
    """Whether the answer stands in the question, between other than letters and digits."""
    if not answer or not answer.strip():
        return False
    return re.search(rf"(?<!\w){re.escape(answer.strip())}(?!\w)", question) is not None

"""What a job's verifiers say of answers whose worth is known: the reference answer, nothing, and nonsense.

This is the side that runs in the sandbox, where the problems and their answers are; `r1net.probe` judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1net.environments import Problem
from r1net.rewards import opened, verifiers
from r1net.scoring import JobScorer

WORTHLESS = ("", "nan", "qwxyz")
"""No answer at all; what float() takes for a number, and is equal to nothing; a word that no
text has letters in common with, or nearly so: verifiers may well pay for a part of an answer."""


@dataclass(frozen=True)
class Candidate:
    """A completion that one reward is tried on. `gold`: it gives the reference answer, and should earn all."""

    reward: str
    text: str
    gold: bool


def candidates(scorer: JobScorer, problem: Problem) -> Iterator[Candidate]:
    """What to try the job's verifying rewards on, in the form in which they read answers.

    A worthless answer that happens to be the reference answer is left out.
    """
    gold = problem.answer
    begun = opened(scorer.spec.prompt).rpartition("<answer>")[1]
    for name in (reward.name for reward in verifiers(scorer.spec.rewards)):
        begin, end = ("", "") if name == "exact" else ("" if begun else "<answer>", "</answer>")
        if gold is not None:
            yield Candidate(name, f"{begin}{gold}{end}", gold=True)
        for text in WORTHLESS:
            if gold is None or gold.strip().lower() != text:
                yield Candidate(name, f"{begin}{text}{end}", gold=False)

"""What a lie costs: the probability of being caught, and what a cheat may expect. Pure functions.

Whoever cheats again and again is caught once in 1/p pieces of work, p being the probability that a piece is drawn and
found bad. Until then it has been paid for (1 - p) / p pieces, whatever share of its work they are; then it loses what
it has at risk: E = v·(1 - p)/p - r. There is no more to win: who stops after n pieces has (1 - (1 - p)ⁿ)·E. So a piece
that is worth v must be drawn with a probability above v / (v + r).

What it loses beside that, all that it was owed since the last closing, is left out, and so is that new owners and those
that have failed are drawn more often: both make it worse for a cheat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from r1net.protocol.canonical import Address
from r1net.protocol.job import JobSpec
from r1net.protocol.pricing import Work, asked

NEW_FACTOR = 4.0
"""So many times as often as others' is a new owner's work drawn."""

PLANTED = 0.1
"""Of so many drawn pieces a tampered copy is voted on as well, at least: who doesn't look is found by it."""

MARGIN = 2
"""So many times what a piece is worth must be lost by it on average."""


@dataclass(frozen=True)
class Cheat:
    """A way to be paid for less than the work. `saves`: the share of a piece's pay that it spares the worker, at most.
    `caught`: the share of drawn pieces in which it is found, as measured on SmolLM2-135M (docs/verification.md)."""

    name: str
    kind: Literal["rollout", "training", "verification"]
    saves: float
    caught: float


CHEATS = (
    Cheat("answers written by hand, or by another model", "rollout", 1.0, 1.0),
    Cheat("another version, temperature, prompt or seed", "rollout", 1.0, 1.0),
    Cheat("the best of several answers", "rollout", 1.0, 1.0),
    Cheat("faked log-probabilities, edited or constant tokens", "rollout", 1.0, 1.0),
    Cheat("weights in four bits", "rollout", 0.75, 1.0),
    Cheat("weights in eight bits", "rollout", 0.5, 0.0),
    Cheat("a gradient of zeros, of another round, of noise, or the outcome repeated", "training", 1.0, 1.0),
    Cheat("a gradient of half of the bundles", "training", 0.5, 1.0),
    Cheat("a gradient that leaves a sixteenth out", "training", 1 / 16, 0.25),
    Cheat("a vote cast without looking", "verification", 1.0, 1.0),
)
"""Eight-bit weights differ from the job's by less than honest bfloat16 does: they get through, and what they save is
what a host can earn by it."""


@dataclass(frozen=True)
class Odds:
    """What a cheat may expect of one job. `worth` is the pay of the largest piece of work of its kind, `rate` the
    probability that it is drawn, `profit` what the cheat wins on average until it is caught: None where nothing catches
    it, so that it wins as long as it likes. Wei of the job's token."""

    cheat: Cheat
    worth: int
    rate: float
    profit: int | None

    @property
    def pays(self) -> bool:
        """Whether the cheat wins."""
        return self.profit is None or self.profit > 0


def least_rate(worth: int, at_risk: int) -> float:
    """The probability with which a piece of work must be drawn so that faking it loses `MARGIN` times what it wins."""
    return MARGIN * worth / (MARGIN * worth + at_risk) if worth else 0.0


def plant_rate(worth: int, at_risk: int) -> float:
    """Of how many drawn pieces, on whose vote is paid so much, a tampered copy is voted on as well. Whoever votes is
    asked about a copy with probability q / (1 + q)."""
    return min(1.0, max(PLANTED, MARGIN * worth / at_risk)) if at_risk else PLANTED


def profit(worth: float, caught: float, at_risk: int) -> float | None:
    """What faking pieces of work brings on average until one is caught, with that probability for each; None where
    none ever is."""
    return worth * (1 - caught) / caught - at_risk if caught else None


def odds(spec: JobSpec, r1: Address, at_risk: int, cheats: Sequence[Cheat] = CHEATS) -> list[Odds]:
    """Every cheat's expectation of a job, with the largest pieces of work that it can give out. `at_risk` is in R1: in
    a job that pays in another token nobody can say how much that is, and it counts for nothing."""
    comparable = at_risk if spec.payment_token.lower() == r1.lower() else 0
    tokens = spec.stage.groups_per_round * spec.stage.group_size * spec.sampling.max_tokens
    found = []
    for cheat in cheats:
        worth = asked(Work(cheat.kind, tokens), spec.prices)
        rate = _drawn(spec, Work(cheat.kind, tokens), comparable)
        won = profit(worth * cheat.saves, rate * cheat.caught, comparable)
        found.append(Odds(cheat, worth, rate, None if won is None else int(won)))
    return found


def _drawn(spec: JobSpec, work: Work, at_risk: int) -> float:
    if work.kind != "verification" or not spec.verification.rate:
        return rate_of(spec, work, at_risk)
    planted = plant_rate(asked(work, spec.prices), at_risk)
    return planted / (1 + planted)


def rate_of(spec: JobSpec, work: Work, at_risk: int) -> float:
    """With which probability a piece of work is drawn: the job's rate, or as often as its worth demands. Where the
    stake says nothing about the job's token, the job's rate is all there is."""
    base = spec.verification.rate_of(work.kind)
    return max(base, least_rate(asked(work, spec.prices), at_risk)) if base and at_risk else base

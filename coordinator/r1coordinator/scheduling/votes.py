"""Rules of sampled replay: how often an owner's work is drawn, and what votes come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from r1net.deterrence import NEW_FACTOR
from r1net.protocol.canonical import Address

NEW_OWNER = 8
"""An owner is new until so many of its submissions were replayed and held."""

DOUBT = 2.0
"""Points of standing from which on all of an owner's work is drawn."""

PATIENCE = 20.0
"""Seconds after which verifiers further down the order are asked as well."""

DROP_AFTER = 600.0
"""Seconds after which work that one found bad, and that nobody else came to judge, is given up without a verdict."""

ALONE_AFTER = 60.0
"""The same where there is nobody else: no host of another owner was heard of for so long."""

Outcome = Literal["open", "holds", "failed", "dropped"]


@dataclass(frozen=True)
class Voter:
    """One revealed vote."""

    owner: Address
    holds: bool


def rate_for(base: float, held: int, points: float, least: float = 0.0) -> float:
    """The probability that a piece of work is drawn. `held`: how many of its owner's were repeated and held; `points`:
    its owner's standing; `least`: what its worth demands (`r1net.deterrence`)."""
    if base == 0:
        return 0.0
    if points >= DOUBT:
        return 1.0
    return min(1.0, max(least, base * NEW_FACTOR if held < NEW_OWNER else base))


def wanted(votes: Sequence[Voter]) -> int:
    """How many votes there should be: one that finds nothing is enough, one that accuses is not."""
    accusing, clearing = _count(votes)
    if accusing == 0:
        return 1
    return 2 if clearing == 0 else max(3, accusing + clearing + (accusing == clearing))


def outcome(votes: Sequence[Voter], waited: float, *, alone: bool = False) -> Outcome:
    """What the votes come to. A conviction needs two owners, and more of them than find nothing. `alone`: nobody is
    there who could confirm an accusation."""
    accusing, clearing = _count(votes)
    if clearing > accusing:
        return "holds"
    if accusing >= 2 and accusing > clearing:
        return "failed"
    return "dropped" if accusing and waited > (ALONE_AFTER if alone else DROP_AFTER) else "open"


def openings(waited: float, wanted: int) -> int:
    """How many verifiers, of those that could be asked, may take the task now."""
    return wanted + int(waited // PATIENCE)


def _count(votes: Sequence[Voter]) -> tuple[int, int]:
    """Accusing and clearing owners; the same owner counts once, by its first vote."""
    first: dict[Address, bool] = {}
    for vote in votes:
        first.setdefault(vote.owner, vote.holds)
    clearing = sum(first.values())
    return len(first) - clearing, clearing

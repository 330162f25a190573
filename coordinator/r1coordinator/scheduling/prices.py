"""Rules of what a job's work is worth to a worker, and which job it is offered: by price and fair share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from r1net.prices import Floors, Price
from r1net.protocol.canonical import Address, Hash


@dataclass(frozen=True)
class Choice:
    """A job as one worker may choose it. `worth` is relative to the worker's floor; `active` are the other workers that
    are at the job; `held`: the worker has the job's current version."""

    job_id: Hash
    worth: Fraction
    active: int
    held: bool = False


def worth(price: Price, floors: Floors | None, r1: Address | None) -> Fraction | None:
    """What the price is worth to a worker: how many times its floor; None when it doesn't take it.

    Without floors it takes anything, and what is not paid in R1 counts as worth nothing.
    """
    if floors is not None:
        return price.times_floor(floors)
    return Fraction(min(price.rollout, price.trained) if r1 is None or price.token == r1.lower() else 0)


def ranked(choices: Iterable[Choice]) -> list[Choice]:
    """The job with the fewest workers for its price first; those that pay nothing last. Ties keep their order."""
    return sorted(
        choices,
        key=lambda choice: (
            choice.worth == 0,
            (choice.active + 1) / choice.worth if choice.worth else Fraction(choice.active + 1),
        ),
    )


def draws_away(held: Choice, other: Choice) -> bool:
    """Whether a worker leaves the job that it holds for another one that has work: the other would have fewer workers
    for its price even then. What pays nothing holds nobody. (A fixed factor between the prices would let workers
    wander for ever: the better job draws them, its crowd sends them back.)"""
    if not other.worth:
        return not held.worth and other.active < held.active
    return (other.active + 1) * held.worth < (held.active + 1) * other.worth

"""What a job pays for a token of work: the same figure for the coordinator that offers it and the host that checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from r1net.jobs.prices import round_cost
from r1net.protocol.canonical import Address
from r1net.protocol.job import JobSpec

Floors = Mapping[Address, int]
"""The least that a worker takes: token -> wei for a rollout token, and for a trained one."""


@dataclass(frozen=True)
class Price:
    """What a token of work brings: wei of `token` for a rollout token and for a trained one."""

    token: Address
    rollout: int
    trained: int

    def times_floor(self, floors: Floors) -> Fraction | None:
        """How many times its floor the lower of the two is; None when the floors forbid it."""
        floor = {token.lower(): wei for token, wei in floors.items()}.get(self.token)
        least = min(self.rollout, self.trained)
        return None if floor is None or least < floor else Fraction(least, max(floor, 1))


def price_of(spec: JobSpec) -> Price:
    """What the job pays: its price list, or less where the budget can't pay that for one round and one evaluation."""
    cost, prices = round_cost(spec), spec.prices
    share = Fraction(1) if cost <= spec.budget else Fraction(spec.budget, cost)
    return Price(spec.payment_token.lower(), int(prices.rollout_token * share), int(prices.trained_token * share))

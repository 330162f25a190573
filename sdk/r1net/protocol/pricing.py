"""What work is worth: integers in, integers out, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1net.protocol.job import Prices


@dataclass(frozen=True)
class Work:
    """The part of a contribution that has a price."""

    kind: str
    tokens: int


def asked(work: Work, prices: Prices) -> int:
    """What the price list says."""
    match work.kind:
        case "rollout":
            return work.tokens * prices.rollout_token
        case "training":
            return work.tokens * prices.trained_token
        case "verification":
            return work.tokens * prices.verified_token
    raise ValueError(f"nothing is paid for {work.kind}")


def price(works: Sequence[Work], prices: Prices, available: int) -> list[int]:
    """The pay of each piece of work.

    When the list's prices come to more than is available, everyone is paid in proportion, rounded down; what the
    rounding leaves stays in the escrow.
    """
    wanted = [asked(work, prices) for work in works]
    total = sum(wanted)
    if total <= available:
        return wanted
    return [amount * available // total for amount in wanted]

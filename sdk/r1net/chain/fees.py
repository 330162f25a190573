"""What a transaction offers for its gas (EIP-1559), in wei."""

from __future__ import annotations

from dataclasses import dataclass

FEE_CAP = 500 * 10**9
"""The most that is offered for a unit of gas, unless told otherwise."""


@dataclass(frozen=True)
class Fees:
    """The most for a unit of gas in all, and the tip that is part of it."""

    most: int
    tip: int

    def fields(self) -> dict[str, int]:
        """As a transaction has them."""
        return {"maxFeePerGas": self.most, "maxPriorityFeePerGas": self.tip}


def offer(base: int, tip: int, cap: int) -> Fees:
    """Room for the base fee to double, and the tip that the node suggests, up to the cap."""
    most = min(2 * base + tip, cap)
    return Fees(most, min(tip, most))


def higher(before: Fees, now: Fees, cap: int) -> Fees:
    """What replaces a transaction at `before`: an eighth more, which is what nodes want at the least, and no less than
    what a new transaction would offer `now`. The same fees again where the cap leaves no room for that."""
    most, tip = (max(-(-9 * old // 8), new) for old, new in ((before.most, now.most), (before.tip, now.tip)))
    if most > cap:
        most = cap
        if 8 * most < 9 * before.most:
            return before
    return Fees(most, min(tip, most))

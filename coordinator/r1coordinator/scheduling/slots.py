"""Rules of how many workers of one owner take part: so many for each full minimum stake."""

from __future__ import annotations

from collections.abc import Collection

from r1net.protocol.canonical import Address


def slots_of(stakes: int, each: int) -> int:
    """The workers that an owner with so many full minimum stakes may have active."""
    return stakes * each


def has_room(live: Collection[Address], worker: Address, slots: int | None) -> bool:
    """Whether a worker may come beside the owner's `live` ones."""
    return slots is None or len({other for other in live if other != worker}) < slots


def within(live: Collection[Address], worker: Address, slots: int | None) -> bool:
    """Whether a live worker is among those that the owner's stake is good for, which may have fallen: the first by
    address stay."""
    return slots is None or worker in sorted({*live, worker}, key=str.lower)[:slots]

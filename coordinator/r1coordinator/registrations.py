"""Whom a worker acts for, and whether that owner's stake stands: read on chain, kept for a short while."""

from __future__ import annotations

from dataclasses import dataclass

from r1coordinator.chain import ChainPort
from r1coordinator.lookups import Askers, Lookup
from r1coordinator.scheduling.slots import slots_of

_UNKNOWN_SECONDS = 5.0
"""How long "not bound" and "no stake" are believed at most: who mends it shall not wait."""


@dataclass(frozen=True)
class Registration:
    """A worker as the registry has it. `active`: the owner's stake stands; False without an owner. `slots`: how many
    workers the stake is good for."""

    owner: str | None
    active: bool
    slots: int

    def fault(self, owner: str) -> str | None:
        """Why the worker may not act for `owner`; None if it may."""
        if self.owner is None or self.owner.lower() != owner.lower():
            bound = f"acts for {self.owner}" if self.owner else "is not bound to an owner"
            return f"on chain the worker {bound}"
        return None if self.active else f"{self.owner} has no active stake"


class Registrations:
    """The registry's answers, each believed for `keep` seconds."""

    def __init__(self, chain: ChainPort, askers: Askers, keep: float, each: int) -> None:
        self._chain, self._each = chain, each
        briefly = min(keep, _UNKNOWN_SECONDS)
        self._lookup: Lookup[Registration] = Lookup(
            askers, keep=lambda found: keep if found.active else briefly, keep_refusals=briefly
        )

    async def look(self, worker: str) -> Registration:
        """What the registry says of a worker. Raises ChainUnavailable, and Refused (503) when too much is asked."""
        return await self._lookup.get(worker.lower(), lambda: self._ask(worker))

    def known(self, worker: str) -> Registration | None:
        """The same if it is kept: nobody is asked and nothing is waited for."""
        return self._lookup.known(worker.lower())

    def refresh(self, worker: str) -> Registration:
        """The same as it is now, asked on this thread; nothing older is believed from now on. Raises ChainError."""
        found = self._ask(worker)
        self._lookup.forget(worker.lower())
        return found

    def _ask(self, worker: str) -> Registration:
        owner = self._chain.owner_of(worker)
        if owner is None or not self._chain.is_active(owner):
            return Registration(owner, active=False, slots=0)
        return Registration(owner, active=True, slots=slots_of(self._chain.stakes(owner), self._each))

"""Whom a worker acts for, and whether that owner's stake stands: read on chain, kept for a short while."""

from __future__ import annotations

from dataclasses import dataclass

from r1coordinator.chain import ChainPort
from r1coordinator.lookups import Askers, Lookup

_UNKNOWN_SECONDS = 5.0
"""How long "not bound" and "no stake" are believed at most: who mends it shall not wait."""


@dataclass(frozen=True)
class Registration:
    """A worker as the registry has it. `active`: the owner's stake stands; False without an owner."""

    owner: str | None
    active: bool


class Registrations:
    """The registry's answers, each believed for `keep` seconds."""

    def __init__(self, chain: ChainPort, askers: Askers, keep: float) -> None:
        self._chain = chain
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

    def _ask(self, worker: str) -> Registration:
        owner = self._chain.owner_of(worker)
        return Registration(owner, owner is not None and self._chain.is_active(owner))

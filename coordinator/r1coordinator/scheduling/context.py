"""What the scheduler needs besides the rows: settings, and where randomness comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from r1coordinator.settings import Settings


@dataclass
class Risk:
    """What a conviction takes of an owner's stake, in wei of R1: as the chain said lately, 0 before it has."""

    wei: int = 0


@dataclass(frozen=True)
class Context:
    """Passed to everything that changes rows. `r1` is the network's own token, None where no deployment names it."""

    settings: Settings
    chain_id: int
    new_id: Callable[[], str]
    r1: str | None = None
    risk: Risk = field(default_factory=Risk)

    def at_risk(self, token: str) -> int:
        """What whoever is paid in this token has at risk, in the same money: nothing that could be compared, where it
        isn't R1."""
        return self.risk.wei if self.is_r1(token) else 0

    def is_r1(self, token: str) -> bool:
        """Whether this is the network's own token."""
        return self.r1 is not None and token.lower() == self.r1.lower()

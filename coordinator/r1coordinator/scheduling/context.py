"""What the scheduler needs besides the rows: settings, and where randomness comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from r1coordinator.settings import Settings


@dataclass(frozen=True)
class Context:
    """Passed to everything that changes rows. `r1` is the network's own token, None where no deployment names it."""

    settings: Settings
    chain_id: int
    new_id: Callable[[], str]
    r1: str | None = None

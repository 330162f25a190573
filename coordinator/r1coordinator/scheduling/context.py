"""What the scheduler needs besides the rows: settings, and where randomness comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from r1coordinator.settings import Settings


@dataclass(frozen=True)
class Context:
    """Passed to everything that changes rows."""

    settings: Settings
    chain_id: int
    new_id: Callable[[], str]

"""How a rogue tells the gallery what it did: a line in its log for each lie."""

from __future__ import annotations

import re

_LIE = re.compile(r"^lie (\S+)$", re.MULTILINE)
_REFUSED = re.compile(r"^[\d:]+  failed +(\w+):", re.MULTILINE)


def told(lease_id: str) -> None:
    """What this lease brings is false."""
    print(f"lie {lease_id}", flush=True)


def lies_of(log: str) -> list[str]:
    """The leases of the lies in a rogue's log, in order."""
    return list(dict.fromkeys(_LIE.findall(log)))


def failures_of(log: str) -> list[str]:
    """The codes with which its work was refused or given up."""
    return _REFUSED.findall(log)

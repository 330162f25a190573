"""Coordinator and chain may come up after the host does, after a power cut for instance: `join` waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from r1net.errors import ChainUnavailable, ProtocolError, R1Error, Refused, Unreachable
from r1node.events import Events
from r1node.lease import PASSING

_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between tries; the last repeats."""

T = TypeVar("T")


def patiently(call: Callable[[], T], events: Events, seconds: float) -> T:
    """Do it as soon as what it needs is there, with a line at each try. Raises what `call` raises: at once where
    waiting helps nothing, else after so many seconds."""
    deadline = time.monotonic() + seconds
    tries = 0
    while True:
        try:
            return call()
        except R1Error as error:
            left = deadline - time.monotonic()
            if left <= 0 or not _away(error):
                raise
            pause = min(_PAUSES[min(tries, len(_PAUSES) - 1)], left)
            events.note("waiting", f"{error.message}; trying again in {pause:.0f} s, for {left:.0f} s more")
            time.sleep(pause)
            tries += 1


def _away(error: R1Error) -> bool:
    """Whether this may pass by itself: nobody answers, or somebody between who has no right answer."""
    if isinstance(error, Refused):
        return error.status in PASSING
    return isinstance(error, Unreachable | ChainUnavailable | ProtocolError)

"""How `join` is stopped before its worker works: it takes back what it has begun, with a word.

Without this, SIGTERM would end the process where it stands, and leave its daemon, its sandbox and the file with its key
behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from r1node.events import Events


class StoppedEarly(SystemExit):
    """Ends the process, with the exit code that shells give to a signal, once all that it holds is let go."""


@contextmanager
def stoppable(events: Events) -> Iterator[None]:
    """While this lasts, and until `Stopping` or a crew takes over, the first SIGINT or SIGTERM raises StoppedEarly on
    the main thread, and the next one ends the process at once."""
    heard = 0

    def hear(number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        if heard > 1:
            os._exit(128 + number)
        raise StoppedEarly(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hear)
    try:
        yield
    except StoppedEarly:
        events.note("left", "stopped before it took any work")
        raise

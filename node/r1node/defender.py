"""A running worker's eye on the court: on a thread, beside the work, for as long as the worker runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1net.errors import ChainUnavailable, PreflightError, R1Error
from r1node.events import Events
from r1node.locks import holding
from r1node.verification.defence import Defence

log = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between two looks at the chain. An accused has a day to answer."""
QUIET = ("answered", "found innocent")
"""Steps that ask nothing of the host."""


@contextmanager
def defended(defence: Defence, folder: Path, events: Events) -> Iterator[None]:
    """While this lasts, what the owner is accused of is answered. Of the workers in one data folder one looks; should
    it end, another takes over."""
    over = threading.Event()

    def stand() -> None:
        while not over.is_set():
            try:
                with holding(folder / "defence", "another worker looks", "nothing is to be done"):
                    _keep_looking(defence, events, over)
            except PreflightError:
                over.wait(LOOK)

    threading.Thread(target=stand, name="defence", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _keep_looking(defence: Defence, events: Events, over: threading.Event) -> None:
    said = ""
    while not over.is_set():
        try:
            for turn in defence.round():
                tell = events.note if turn.step in QUIET else events.alert
                tell(turn.step, turn.words, dispute=turn.dispute)
            said = ""
        except R1Error as error:
            if said != error.message:
                tell = events.note if isinstance(error, ChainUnavailable) else events.alert
                tell("court", f"can't see whether this host is accused: {error.message}; trying again")
            said = error.message
        except Exception:  # what nobody foresaw must not end the defence
            log.exception("the defence of %s", defence.owner)
        over.wait(LOOK)

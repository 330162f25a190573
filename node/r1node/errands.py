"""What every kind of task has in common: telling the coordinator, however long it is away, and giving back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from r1net.errors import Refused, Unreachable
from r1net.protocol.work import Lease
from r1node.events import Events
from r1node.lease import LeaseKeeper
from r1node.session import Session

log = logging.getLogger(__name__)

RETRY = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries while the coordinator is away; the last repeats."""

T = TypeVar("T")


@dataclass
class Errands:
    """One worker's. `stop` is set when it is to end after the task in hand."""

    session: Session
    events: Events
    stop: threading.Event = field(default_factory=threading.Event)

    def persist(self, keeper: LeaseKeeper, call: Callable[[], T]) -> T:
        """Repeat what may be repeated while the coordinator is away and the lease is ours. Once the worker is to end,
        it is tried one more time. Raises Unreachable then, and LeaseLost."""
        tries = 0
        while True:
            last = self.stop.is_set()
            try:
                return call()
            except Unreachable as error:
                if last:
                    raise
                self.events.note("waiting", f"{error.message}; trying again")
            keeper.check()
            self.stop.wait(RETRY[min(tries, len(RETRY) - 1)])
            tries += 1

    def give_back(self, lease: Lease, code: str, detail: str) -> None:
        """Hand a task back, with a machine word for why: what lapses instead costs standing. Not for long, nor at all
        when it fails while the worker ends."""
        self.events.note("failed", f"{code}: {detail}")
        for pause in (*RETRY, 0.0):
            try:
                self.session.report_failure(lease.id, code, detail)
            except (Unreachable, Refused) as error:
                if isinstance(error, Unreachable) and pause and not self.stop.wait(pause):
                    continue
                log.warning("could not give the lease back: %s; it will expire", error)
            return

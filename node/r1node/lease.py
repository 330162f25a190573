"""Keeping a lease alive while its task runs, and noticing when it is gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from r1net.errors import R1Error, Refused
from r1net.protocol.work import Lease
from r1node.session import Session

PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers of a server or a proxy in trouble: they say nothing about the lease."""

log = logging.getLogger(__name__)


class LeaseLost(R1Error):
    """The coordinator took the lease back: stop, and keep nothing of it."""

    code = "lease_lost"


class LeaseKeeper:
    """Context manager that beats for a lease on a thread. `check()` raises LeaseLost once it is gone.

    While the coordinator is away the beats go on: leases outlive its restart.
    """

    def __init__(self, session: Session, lease: Lease) -> None:
        self.lease = lease
        self._session = session
        self._done = threading.Event()
        self._lost: str | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._beat, name=f"lease-{lease.id[:8]}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()

    def check(self) -> None:
        """Raise LeaseLost when the lease is no longer ours."""
        if self._lost is not None:
            raise LeaseLost(f"lease {self.lease.id} was taken back: {self._lost}")

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` (from the beating thread) when the lease is lost."""
        self._callbacks.append(callback)

    def _beat(self) -> None:
        while not self._done.wait(self.lease.heartbeat_every):
            try:
                answer = self._session.heartbeat(self.lease.id)
            except Refused as refusal:
                if refusal.status in PASSING:
                    continue
                self._lose(refusal.message)
                return
            except R1Error as error:  # away, or somebody between us says what it never would
                log.warning("%s; working on", error.message)
                continue
            if not answer.alive:
                self._lose(answer.reason or "expired")
                return

    def _lose(self, reason: str) -> None:
        self._lost = reason
        for callback in self._callbacks:
            callback()

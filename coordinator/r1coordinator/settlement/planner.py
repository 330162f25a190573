"""Which dues make the next epoch: those that their escrows can pay now. The others wait by themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from sqlalchemy import select, update

from r1coordinator.chain import ChainPort
from r1coordinator.settings import Settings
from r1coordinator.settlement import payable
from r1coordinator.settlement.follower import Follower
from r1coordinator.store.database import Database
from r1coordinator.store.tables import DueRow
from r1net.chain import JobState
from r1net.errors import ChainError, ChainUnavailable

log = logging.getLogger("r1coordinator.settlement")

_LOOKS = 256
"""Escrows that are read for one epoch, at most."""


class Planner:
    """Chooses the dues of an epoch, and puts off what can't be paid."""

    def __init__(
        self, db: Database, chain: ChainPort, settings: Settings, follower: Follower, clock: Callable[[], float]
    ) -> None:
        self._db, self._chain, self._settings, self._follower, self._clock = db, chain, settings, follower, clock
        self._depth = settings.depth(chain.chain_id())

    def choose(self, most: int, number: int) -> list[DueRow]:
        """At most so many dues for the epoch of this number, one of each job, those that failed least first.

        What was rejected goes alone, after everything else: it may be rejected again, and a conviction takes the whole
        epoch along.
        """
        candidates = [due for due in self._candidates() if self._is_free(due, number)]
        fresh = self._payable([due for due in candidates if not due.rejections], most)
        return fresh or self._payable([due for due in candidates if due.rejections], 1)

    def put_off(self, due_id: int, error: str, *, for_good: bool = False) -> None:
        """Leave a due out until its pause is over, each longer than the last; or for good, as unpayable."""
        with self._db.write() as s:
            due = s.get_one(DueRow, due_id)
            due.tries += 1
            due.retry_at = self._clock() + self._settings.settlement_pause(due.tries)
            due.error = error
            if for_good:
                due.state = "unpayable"
        log.warning("due %d of job %s %s: %s", due_id, due.job_id, "is lost" if for_good else "waits", error)

    def release_held(self) -> None:
        """What was held is tried again when the operator has raised `max_rejections`."""
        with self._db.write() as s:
            held = (DueRow.state == "held", DueRow.rejections < self._settings.max_rejections)
            s.execute(update(DueRow).where(*held).values(state="waiting", error=None))

    def _candidates(self) -> list[DueRow]:
        """The oldest waiting due of each job, if its pause is over: what a job did is settled in order."""
        columns = (DueRow.id, DueRow.job_id, DueRow.retry_at)
        now = self._clock()
        with self._db.read() as s:
            oldest: dict[str, tuple[int, float]] = {}
            for due_id, job_id, retry_at in s.execute(
                select(*columns).where(DueRow.state == "waiting").order_by(DueRow.id)
            ):
                oldest.setdefault(job_id, (due_id, retry_at))
            ids = [due_id for due_id, retry_at in oldest.values() if retry_at <= now]
            rows = select(DueRow).where(DueRow.id.in_(ids)).order_by(DueRow.tries, DueRow.id).limit(_LOOKS)
            return list(s.scalars(rows))

    def _is_free(self, due: DueRow, number: int) -> bool:
        """Whether no older proposal with the due can still be mined beside the epoch of this number."""
        if due.sent_as is None or due.sent_as >= number or self._follower.is_deep(due.sent_as):
            return True
        with self._db.write() as s:
            reason = f"an earlier proposal of epoch {due.sent_as} may still come back"
            s.get_one(DueRow, due.id).error = reason
        return False

    def _payable(self, dues: Sequence[DueRow], most: int) -> list[DueRow]:
        found: list[DueRow] = []
        for due in dues:
            if len(found) == most:
                break
            if self._can_be_paid(due):
                found.append(due)
        return found

    def _can_be_paid(self, due: DueRow) -> bool:
        try:
            account = self._chain.job(due.job_id)
        except ChainUnavailable:
            raise
        except ChainError as error:
            self.put_off(due.id, str(error))
            return False
        reason = payable.obstacle(account, due.amount)
        if reason is None:
            return True
        self.put_off(due.id, reason, for_good=self._never(account, due))
        return False

    def _never(self, account: JobState, due: DueRow) -> bool:
        """Whether the escrow can never pay, and has been so for as many blocks as it takes."""
        if not payable.never(account, due.amount):
            return False
        if self._depth == 0:
            return True
        try:
            return payable.never(self._chain.job(due.job_id, self._depth), due.amount)
        except ChainUnavailable:
            raise
        except ChainError:  # the job is younger than that
            return False

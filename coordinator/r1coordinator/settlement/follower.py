"""The states of epochs follow the chain, forwards and, when it reorganises, backwards."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
from r1coordinator.settlement import ledger
from r1coordinator.store.database import Database
from r1coordinator.store.tables import DraftRow, EpochRow
from r1net.chain import EpochState, EpochStatus
from r1net.errors import ChainError

log = logging.getLogger("r1coordinator.settlement")

_FALLEN = (EpochStatus.REJECTED, EpochStatus.UNWOUND)


class Follower:
    """Compares the rows with the chain.

    What is meant to last (final, rejected) is written once it is `depth` blocks deep; what the newest block takes
    back is taken back at once.
    """

    def __init__(self, db: Database, chain: ChainPort, depth: int, most_rejections: int) -> None:
        self._db, self._chain, self._depth, self._most_rejections = db, chain, depth, most_rejections
        self.clear = True
        """False while a rejection is known that may still be taken back: nothing may be built on such ground."""

    def follow(self) -> None:
        """Bring every row that may have changed to where the chain is. Raises ChainError where that can't be done."""
        self.clear = True
        while (last := self._newest_final()) is not None and not self._still_final(last):
            log.warning("the chain took back that epoch %d is final", last.epoch)
        self._forget_from(self._chain.next_epoch())
        with self._db.read() as s:
            rows = ledger.epochs(s, ("open", "proposed", "rejected"))
            # far behind a final one nothing is taken back any more
            rows += [row for row in ledger.epochs(s, ("unwound",)) if row.epoch > (last.epoch if last else 0)]
        rows.sort(key=lambda row: row.epoch)
        quiet = self._newest_is_pending([row for row in rows if row.state == "proposed"])
        waits = False
        for row in rows:
            if row.state == "proposed" and quiet and waits:
                continue  # the newest is pending, so none below it fell; and they become final in order
            state = self.look(row.epoch)
            waits = waits or (row.state == "proposed" and state == "proposed")

    def look(self, number: int) -> str | None:
        """Bring one row to where the chain is; its state then, None if it was given up. Raises ChainError when the
        chain holds what this coordinator never made."""
        kept = self._chain.epoch(number)
        sunk = self._sunk(kept)
        with self._db.write() as s:
            row = s.get(EpochRow, number)
            if row is None or kept.status == EpochStatus.NONE:
                return _none(s, row) if row is not None else None
            revived = row.state in ledger.REJECTED and kept.status not in _FALLEN
            if revived or not same(row, kept):
                adopted = _adopt(s, row, kept)
                if adopted is None:
                    return None
                row = adopted
            if row.state == "open":
                ledger.stands(s, row)
            return self._advance(s, row, kept.status, sunk)

    def adopt(self, kept: EpochState) -> bool:
        """Whether what the chain holds under a number without a row is a draft of ours; it is that number's epoch
        then."""
        with self._db.write() as s:
            draft = s.get(DraftRow, kept.report_digest)
            return draft is not None and draft.epoch == kept.epoch and ledger.adopt(s, draft)

    def is_deep(self, number: int) -> bool:
        """Whether an epoch's proposal is as deep as it takes."""
        return self._depth == 0 or self._chain.epoch(number, self._depth).status != EpochStatus.NONE

    def _sunk(self, kept: EpochState) -> EpochStatus:
        """The status that is as deep as it takes: the newest one, or one before it."""
        if kept.status in (EpochStatus.NONE, EpochStatus.PENDING) or self._depth == 0:
            return kept.status
        return self._chain.epoch(kept.epoch, self._depth).status

    def _advance(self, s: Session, row: EpochRow, status: EpochStatus, sunk: EpochStatus) -> str:
        if status == sunk == EpochStatus.FINALISED:
            ledger.final(s, row)
            log.info("epoch %d is final", row.epoch)
        elif status == EpochStatus.FINALISED:
            row.error = f"final on chain, and not yet {self._depth} blocks deep"
        elif status in _FALLEN and row.state not in ledger.REJECTED and sunk in _FALLEN:
            ledger.rejected(s, row, self._most_rejections)
            log.warning("epoch %d was rejected on chain; its jobs are proposed anew", row.epoch)
        elif status in _FALLEN and row.state not in ledger.REJECTED:
            row.error = f"rejected on chain, and not yet {self._depth} blocks deep"
            self.clear = False
        if status == sunk == EpochStatus.UNWOUND:
            row.state, row.error = "unwound", "rejected on chain; its reserves are given back"
        return row.state

    def _forget_from(self, number: int) -> None:
        """The chain has no epoch from this number on, whatever it had before."""
        with self._db.write() as s:
            for row in ledger.epochs(s, ("proposed", *ledger.REJECTED)):
                if row.epoch >= number:
                    _none(s, row)

    def _newest_final(self) -> EpochRow | None:
        with self._db.read() as s:
            return ledger.newest(s, ("final",))

    def _still_final(self, row: EpochRow) -> bool:
        kept = self._chain.epoch(row.epoch)
        if kept.status == EpochStatus.FINALISED and same(row, kept):
            return True
        with self._db.write() as s:
            ledger.stands(s, s.get_one(EpochRow, row.epoch))
        return False

    def _newest_is_pending(self, proposed: list[EpochRow]) -> bool:
        if len(proposed) <= 2:  # looking at each costs no more
            return False
        kept = self._chain.epoch(proposed[-1].epoch)
        return kept.status == EpochStatus.PENDING and same(proposed[-1], kept)


def same(row: EpochRow, kept: EpochState) -> bool:
    """Whether the chain's epoch is the row's."""
    return (row.report_digest, row.rewards_root) == (kept.report_digest.lower(), kept.rewards_root.lower())


def _none(s: Session, row: EpochRow) -> str | None:
    if row.state in ledger.REJECTED:
        ledger.take_back(s, row)  # the number is free again; the dues have moved on already
        return None
    if row.state != "open":
        ledger.forgotten(s, row)
        log.warning("epoch %d: %s", row.epoch, row.error)
    return row.state


def _adopt(s: Session, row: EpochRow, kept: EpochState) -> EpochRow | None:
    """The row of what the chain holds under the row's number; None where that is void and not ours."""
    draft = s.get(DraftRow, kept.report_digest)
    if draft is None and kept.status in _FALLEN:
        ledger.take_back(s, row)
        return None
    if draft is None or draft.epoch != row.epoch or not ledger.adopt(s, draft):
        raise foreign(row.epoch)
    return s.get_one(EpochRow, row.epoch)


def foreign(number: int) -> ChainError:
    """The chain holds what this coordinator can't build on."""
    return ChainError(
        f"the chain holds another epoch {number}",
        hint="use the database that belongs to this deployment, or deploy anew",
    )

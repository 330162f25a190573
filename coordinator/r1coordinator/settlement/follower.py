"""The states of epochs and their lines follow the chain, forwards and, when it reorganises, backwards."""

from __future__ import annotations

import logging

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
from r1coordinator.settlement import ledger
from r1coordinator.store.database import Database
from r1coordinator.store.tables import EpochRow, LineRow
from r1net.chain import EpochState, LineStatus
from r1net.errors import ChainError

log = logging.getLogger("r1coordinator.settlement")

_FALLEN = (LineStatus.REJECTED, LineStatus.UNWOUND)
_STATES = {LineStatus.FINALISED: "final", LineStatus.REJECTED: "rejected", LineStatus.UNWOUND: "unwound"}


class Follower:
    """Compares the rows with the chain.

    What is meant to last (paid, rejected) is written once it is `depth` blocks deep; what the newest block takes back
    is taken back at once.
    """

    def __init__(self, db: Database, chain: ChainPort, depth: int, most_rejections: int) -> None:
        self._db, self._chain, self._depth, self._most_rejections = db, chain, depth, most_rejections
        self._foreign: set[int] = set()
        self._shallow = f"paid or rejected on chain, and not yet {depth} blocks deep"
        self.standing: dict[int, EpochState] = {}
        """The epochs on chain that can still change, as of the last look."""

    def follow(self) -> None:
        """Bring every row that may have changed to where the chain is. Raises ChainError where that can't be done."""
        self.standing = {}
        while self._reopen():
            pass
        next_epoch = self._chain.next_epoch()
        self._forget_from(next_epoch)
        with self._db.read() as s:
            settled = set(s.scalars(select(EpochRow.epoch).where(EpochRow.state == "final"))) | self._foreign
        for number in range(1, next_epoch):
            if number not in settled:
                self.look(number)

    def look(self, number: int) -> str | None:
        """Bring one epoch to where the chain is; its state then, None where it is not ours. Raises ChainError when this
        account has proposed what the database doesn't know."""
        self.standing.pop(number, None)
        kept = self._chain.epoch(number)
        if not kept.known:
            with self._db.write() as s:
                row = s.get(EpochRow, number)
                if row is not None and row.state != "open":
                    ledger.forgotten(s, row)
            return None
        with self._db.read() as s:
            row = s.get(EpochRow, number)
        if (row is None or row.commitment != kept.commitment) and not self._adopt(kept):
            return None
        sunk, head = self._sunk(kept), self._chain.head() if kept.over else None
        with self._db.write() as s:
            row = ledger.proposed(s, number)
            if row.error == self._shallow:
                row.error = None
            for line in ledger.lines_of(s, number):
                self._advance(s, row, line, kept.status(line.line), sunk.status(line.line))
            if all(line.state in ledger.OVER for line in ledger.lines_of(s, number)):
                row.state, row.error, row.final_at = "final", None, head
                log.info("epoch %d is final", number)
            state = row.state
        if state == "proposed":
            self.standing[number] = kept
        return state

    def is_deep(self, number: int) -> bool:
        """Whether the chain holds an epoch of this number as deep as it takes: it will hold no other."""
        return self._chain.epoch(number, self._depth).known

    def _sunk(self, kept: EpochState) -> EpochState:
        """The epoch as deep as it takes."""
        changed = kept.paid | kept.rejected
        return self._chain.epoch(kept.epoch, self._depth) if self._depth and changed else kept

    def _adopt(self, kept: EpochState) -> bool:
        """Whether every line that the chain holds under the number is one of our dues; it is that number's epoch then.
        Another settler's is none of our business."""
        content = self._chain.content(kept.epoch)
        with self._db.write() as s:
            dues = ledger.known(s, content.jobs)
            if dues is not None:
                ledger.adopt(s, kept.epoch, kept.commitment, dues)
                return True
            row = s.get(EpochRow, kept.epoch)
            if row is not None:
                ledger.take_back(s, row)
        stands = any(kept.status(line) not in _FALLEN for line in range(kept.lines))
        if stands and kept.proposer == self._chain.account():
            raise ChainError(
                f"this account has proposed an epoch {kept.epoch} that the database doesn't know",
                hint="use the database that belongs to this deployment and account, or another account",
            )
        if self.is_deep(kept.epoch):
            self._foreign.add(kept.epoch)
        return False

    def _advance(self, s: Session, row: EpochRow, line: LineRow, status: LineStatus, sunk: LineStatus) -> None:
        if status is LineStatus.PENDING:
            if line.state != "pending":
                ledger.pending(s, line)
            return
        if line.state in ledger.REJECTED and status is LineStatus.FINALISED:
            ledger.pending(s, line)
        same = sunk in _FALLEN if status in _FALLEN else sunk is status
        if not same:
            row.error = self._shallow
        elif status is LineStatus.FINALISED and line.state != "final":
            ledger.paid(s, line)
        elif status in _FALLEN:
            if line.state not in ledger.REJECTED:
                ledger.rejected(s, line, self._most_rejections)
                log.warning("line %d of epoch %d was rejected on chain", line.line, line.epoch)
            line.state = "unwound" if sunk is LineStatus.UNWOUND else "rejected"

    def _forget_from(self, number: int) -> None:
        """The chain has no epoch from this number on, whatever it had before."""
        self._foreign = {one for one in self._foreign if one < number}
        with self._db.write() as s:
            for row in ledger.epochs(s, "proposed", "final"):
                if row.epoch >= number:
                    ledger.forgotten(s, row)

    def _reopen(self) -> bool:
        """Whether the chain took something of the epochs back that became final last. If not, those before are final
        too."""
        with self._db.read() as s:
            last = s.scalar(select(func.max(EpochRow.final_at)))
            rows = list(s.scalars(select(EpochRow).where(EpochRow.state == "final", EpochRow.final_at == last)))
        taken_back = [row for row in rows if not self._still_final(row)]
        with self._db.write() as s:
            for row in taken_back:
                log.warning("the chain took back that epoch %d is final", row.epoch)
                s.get_one(EpochRow, row.epoch).state, s.get_one(EpochRow, row.epoch).final_at = "proposed", None
        return bool(taken_back) and len(taken_back) == len(rows)

    def _still_final(self, row: EpochRow) -> bool:
        kept = self._chain.epoch(row.epoch)
        with self._db.read() as s:
            lines = ledger.lines_of(s, row.epoch)
        same = all(_STATES.get(kept.status(line.line)) == line.state for line in lines)
        return same and kept.commitment == row.commitment

"""Building the next epoch and sending it: what can't be paid is left out, and delays nobody else."""

from __future__ import annotations

import logging

from sqlalchemy import update

from r1coordinator.chain import ChainPort
from r1coordinator.settlement import ledger
from r1coordinator.settlement.follower import Follower
from r1coordinator.settlement.planner import Planner
from r1coordinator.settlement.report import MAX_JOBS, settlement_of
from r1coordinator.store.database import Database
from r1coordinator.store.tables import DueRow, EpochRow
from r1net.chain import JobSettlement, Reverted
from r1net.errors import ChainError, ChainUnavailable, TransactionPending
from r1net.protocol.settlement import JobEpoch

log = logging.getLogger("r1coordinator.settlement")

_CROWDED = 16
"""Epochs that can still change from which on proposals are spread over the challenge window: each binds a bond."""
_EVERYBODYS = (
    *("IsPaused", "SettlerSuspended", "SettlerNotActive", "TooFewJurors", "WrongEpoch"),
    "AccessControlUnauthorizedAccount",
)
"""Refusals that no job is to blame for."""
_BOND = "SettlerBondNotCovered"


class Proposer:
    """Proposes epochs until no due is left that can be paid now."""

    def __init__(self, db: Database, chain: ChainPort, follower: Follower, planner: Planner) -> None:
        self._db, self._chain, self._follower, self._planner = db, chain, follower, planner
        self._width = MAX_JOBS
        """Dues that go into one epoch; halved while epochs are refused and no single due is to blame."""

    def propose_all(self) -> None:
        """Propose what can be proposed. Raises ChainError for a reason that concerns every job."""
        self._planner.release_held()
        while True:
            number = self._chain.next_epoch()
            row = self._left_open(number) or self._build(number)
            if row is None:
                return
            self._send(row)

    def _left_open(self, number: int) -> EpochRow | None:
        """The epoch that was built before for this number and isn't on chain. Those for numbers that can't come next
        any more are given up."""
        with self._db.write() as s:
            rows = {row.epoch: row for row in ledger.epochs(s, "open")}
            if number not in rows:
                for row in rows.values():
                    ledger.take_back(s, row)
            return rows.get(number)

    def _build(self, number: int) -> EpochRow | None:
        if self._crowded():
            return None
        ids = [due.id for due in self._planner.choose(self._width, number)]
        if not ids:
            return None
        with self._db.write() as s:
            return ledger.open_epoch(s, number, ids)

    def _crowded(self) -> bool:
        pending = self._follower.standing
        if len(pending) < _CROWDED:
            return False
        window = self._chain.challenge_window()
        age = window - (pending[max(pending)].finalisable_at - self._chain.now())
        if age * _CROWDED >= window:
            return False
        with self._db.write() as s:
            waiting = (DueRow.state == "waiting", DueRow.error.is_(None))
            reason = f"{len(pending)} epochs are pending; the next one gathers more"
            s.execute(update(DueRow).where(*waiting).values(error=reason))
        return True

    def _send(self, row: EpochRow) -> None:
        with self._db.read() as s:
            jobs = [settlement_of(JobEpoch.parse(part)) for part in ledger.parts_of(s, row.epoch)]
        try:
            transaction = self._chain.propose(row.epoch, jobs).tx_hash
        except (ChainUnavailable, TransactionPending):
            raise
        except ChainError as error:
            if not self._chain.epoch(row.epoch).known:
                self._leave_out(row, self._culprits(row, jobs, error))
                return
            transaction = None  # it was there before, or got there after all
        if transaction is not None:
            with self._db.write() as s:
                ledger.proposed(s, row.epoch, transaction)
            log.info("epoch %d is proposed with %d lines: %s", row.epoch, len(jobs), transaction)
        self._follower.look(row.epoch)
        self._width = min(2 * self._width, MAX_JOBS)

    def _culprits(self, row: EpochRow, jobs: list[JobSettlement], error: ChainError) -> dict[str, str]:
        """The jobs for which an epoch was refused, and why. Raises ChainError when it would be with any other."""
        known = {job.job_id for job in jobs}
        if isinstance(error, Reverted) and error.values.get("jobId") in known:
            return {error.values["jobId"]: str(error)}
        if isinstance(error, Reverted) and error.name in _EVERYBODYS:
            raise error
        found, bonds = {}, 0
        for job in jobs:
            try:
                self._chain.check(row.epoch, [job])
            except ChainUnavailable:
                raise
            except ChainError as reason:
                found[job.job_id] = str(reason)
                bonds += isinstance(reason, Reverted) and reason.name == _BOND
        if bonds == len(jobs):
            raise error
        return found or ({jobs[0].job_id: str(error)} if len(jobs) == 1 else {})

    def _leave_out(self, row: EpochRow, culprits: dict[str, str]) -> None:
        with self._db.write() as s:
            dues = [(line.due_id, s.get_one(DueRow, line.due_id).job_id) for line in ledger.lines_of(s, row.epoch)]
            ledger.take_back(s, s.get_one(EpochRow, row.epoch))
        for due_id, job_id in dues:
            if job_id in culprits:
                self._planner.put_off(due_id, culprits[job_id])
        if not culprits:
            self._width = (len(dues) + 1) // 2
            log.warning("epoch %d is refused, and no single job is to blame: trying fewer at a time", row.epoch)

"""Building the next epoch and sending it: what can't be paid is left out, and delays nobody else."""

from __future__ import annotations

import logging

from sqlalchemy import select, update

from r1coordinator.chain import ChainPort
from r1coordinator.settlement import ledger
from r1coordinator.settlement.follower import Follower, foreign
from r1coordinator.settlement.planner import Planner
from r1coordinator.settlement.report import MAX_JOBS, build_report, settlements
from r1coordinator.store.database import Database
from r1coordinator.store.tables import ContributionRow, DueRow, EpochRow
from r1net.chain import EpochStatus, JobSettlement, Reverted
from r1net.errors import ChainError, ChainUnavailable, TransactionPending
from r1net.protocol.settlement import EpochReport

log = logging.getLogger("r1coordinator.settlement")

_CROWDED = 32
"""Pending epochs from which on proposals are spread over the challenge window: the contract takes 64 and no more."""


class Proposer:
    """Proposes epochs until no due is left that can be paid now."""

    def __init__(self, db: Database, chain: ChainPort, follower: Follower, planner: Planner) -> None:
        self._db, self._chain, self._follower, self._planner = db, chain, follower, planner
        self._width = MAX_JOBS
        """Dues that go into one epoch; halved while epochs are refused and no single due is to blame."""

    def propose_all(self) -> None:
        """Propose what can be proposed. Raises ChainError for a reason that concerns every job."""
        self._planner.release_held()
        while self._follower.clear:
            number = self._chain.next_epoch()
            base = self._base(number)
            row = self._left_open(number, base)
            anew = row is None
            if row is None:
                row = self._build(number, base) if self._may_build(base) else None
            if row is None:
                return
            self._send(row, anew)

    def _base(self, number: int) -> EpochRow | None:
        """The newest epoch that stands, on which the next is built. Raises ChainError when the chain holds one that
        isn't of this database."""
        with self._db.read() as s:
            base = ledger.newest(s, ledger.LIVE)
            void = {row.epoch for row in ledger.epochs(s, ledger.REJECTED)}
        for between in range(base.epoch + 1 if base else 1, number):
            if between in void:
                continue
            kept = self._chain.epoch(between)
            if kept.status in (EpochStatus.REJECTED, EpochStatus.UNWOUND):
                continue
            if self._follower.adopt(kept):
                return self._base(number)
            raise foreign(between)
        return base

    def _left_open(self, number: int, base: EpochRow | None) -> EpochRow | None:
        """The next of the epochs that were built before and aren't on chain; those that don't fit there any more, one
        upon the other, are given up."""
        fitting: list[EpochRow] = []
        with self._db.write() as s:
            for row in ledger.epochs(s, ("open",)):
                below = fitting[-1] if fitting else base
                if row.epoch == number + len(fitting) and row.previous_report == (
                    below.report_digest if below else None
                ):
                    fitting.append(row)
                else:
                    ledger.take_back(s, row)
        return fitting[0] if fitting else None

    def _may_build(self, base: EpochRow | None) -> bool:
        if base is None:
            return True
        with self._db.read() as s:
            doubtful = ledger.alternatives(s, base)
            pending = len(ledger.epochs(s, ("proposed",)))
        if doubtful and not self._follower.is_deep(base.epoch):
            self._wait(f"another proposal of epoch {base.epoch} may still come back; the next one waits")
            return False
        if pending < _CROWDED:
            return True
        window = self._chain.challenge_window()
        age = window - (self._chain.epoch(base.epoch).finalisable_at - self._chain.now())
        if age * _CROWDED < window:
            self._wait(f"{pending} epochs are pending; the next one gathers more")
            return False
        return True

    def _wait(self, reason: str) -> None:
        with self._db.write() as s:
            waiting = (DueRow.state == "waiting", DueRow.error.is_(None))
            s.execute(update(DueRow).where(*waiting).values(error=reason))

    def _build(self, number: int, base: EpochRow | None) -> EpochRow | None:
        chosen = self._planner.choose(self._width)
        if not chosen:
            return None
        ids = [due.id for due in chosen]
        with self._db.read() as s:
            paid = s.scalars(select(ContributionRow).where(ContributionRow.due_id.in_(ids))).all()
        earned = [(row.token, row.account, row.amount or 0) for row in paid]
        previous = EpochReport.parse(base.report) if base else None
        report = build_report(number, self._chain.chain_id(), ledger.parts(chosen), earned, previous)
        with self._db.write() as s:
            return ledger.open_epoch(s, report, list(s.scalars(select(DueRow).where(DueRow.id.in_(ids)))))

    def _send(self, row: EpochRow, anew: bool) -> None:
        jobs = settlements(EpochReport.parse(row.report))
        try:
            transaction = self._chain.propose(row.epoch, row.rewards_root, row.report_digest, jobs).tx_hash
        except (ChainUnavailable, TransactionPending):
            raise
        except ChainError as error:
            if self._chain.epoch(row.epoch).status != EpochStatus.NONE:
                self._follower.look(row.epoch)  # it was there before, or got there after all
                return
            culprits = self._culprits(row, jobs, error)
            self._leave_out(row, culprits, never_sent=anew and isinstance(error, Reverted) and not error.mined)
            return
        with self._db.write() as s:
            ledger.stands(s, s.get_one(EpochRow, row.epoch), transaction)
        self._width = min(2 * self._width, MAX_JOBS)
        log.info("epoch %d is proposed with %d jobs: %s", row.epoch, len(jobs), transaction)

    def _culprits(self, row: EpochRow, jobs: list[JobSettlement], error: ChainError) -> dict[str, str]:
        """The jobs for which an epoch was refused, and why. Raises ChainError when even an empty one would be."""
        known = {job.job_id for job in jobs}
        if isinstance(error, Reverted) and error.values.get("jobId") in known:
            return {error.values["jobId"]: str(error)}
        self._chain.check(row.epoch, row.rewards_root, row.report_digest, [])
        found = {}
        for job in jobs:
            try:
                self._chain.check(row.epoch, row.rewards_root, row.report_digest, [job])
            except ChainUnavailable:
                raise
            except ChainError as reason:
                found[job.job_id] = str(reason)
        return found or ({jobs[0].job_id: str(error)} if len(jobs) == 1 else {})

    def _leave_out(self, row: EpochRow, culprits: dict[str, str], *, never_sent: bool) -> None:
        with self._db.write() as s:
            dues = ledger.dues_of(s, row.epoch)
            ledger.take_back(s, s.get_one(EpochRow, row.epoch), never_sent=never_sent)
        for due in dues:
            if due.job_id in culprits:
                self._planner.put_off(due.id, culprits[due.job_id])
        if not culprits:
            self._width = (len(dues) + 1) // 2
            log.warning("epoch %d is refused, and no single job is to blame: trying fewer at a time", row.epoch)

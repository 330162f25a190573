"""Sending epochs to the chain, each once, in order, until they are final."""

from __future__ import annotations

import logging

from sqlalchemy import select

from r1coordinator.chain import ChainPort
from r1coordinator.settings import Settings
from r1coordinator.store.database import Database
from r1coordinator.store.tables import EpochRow
from r1net.chain import EpochState, EpochStatus, JobSettlement
from r1net.errors import ChainError
from r1net.protocol.settlement import EpochReport

log = logging.getLogger("r1coordinator.settlement")


def settlements(report: EpochReport) -> list[JobSettlement]:
    """A report's jobs as the contract takes them."""
    return [
        JobSettlement(
            job_id=job.job_id,
            amount=job.amount,
            traces_root=job.traces_root,
            trace_count=len(job.trace_digests),
            parent_policy=job.parent_policy,
            new_policy=job.new_policy,
        )
        for job in report.jobs
    ]


class Settler:
    """Drives epochs from open over proposed to final.

    The chain is read before anything is sent, so a step whose answer was lost is not taken twice.
    """

    def __init__(self, db: Database, chain: ChainPort, settings: Settings) -> None:
        self._db, self._chain, self._settings = db, chain, settings
        self._failures = 0

    def step(self) -> float:
        """Take every step that is possible now; returns the seconds to wait before the next look."""
        with self._db.read() as s:
            rows = list(s.scalars(select(EpochRow).where(EpochRow.state != "final").order_by(EpochRow.epoch)))
        for row in rows:
            try:
                moved = self._propose(row) if row.state == "open" else self._finalise(row)
            except ChainError as error:
                self._note(row, str(error))
                self._failures += 1
                pause = self._settings.settlement_poll_seconds * 2 ** min(self._failures, 20)
                return float(min(pause, self._settings.settlement_backoff_max_seconds))
            if not moved:
                break
        self._failures = 0
        return self._settings.settlement_poll_seconds

    def _propose(self, row: EpochRow) -> bool:
        kept = self._kept(row)
        transaction: str | None = None
        if kept.status == EpochStatus.NONE:
            jobs = settlements(EpochReport.parse(row.report))
            transaction = self._chain.propose(row.epoch, row.rewards_root, row.report_digest, jobs).tx_hash
        self._update(row, state="proposed", propose_tx=transaction, error=None)
        log.info("epoch %d is proposed: %s", row.epoch, transaction or "it was already")
        return True

    def _finalise(self, row: EpochRow) -> bool:
        kept = self._kept(row)
        if kept.status == EpochStatus.NONE:
            self._update(row, state="open", error="the chain has forgotten the proposal; it is sent again")
            return False
        if kept.status == EpochStatus.FINALISED:
            self._update(row, state="final", error=None)
            return True
        if kept.disputes:
            self._note(row, f"{kept.disputes} disputes hold the epoch")
            return False
        left = kept.finalisable_at - self._chain.now()
        if left > 0:
            self._update(row, error=f"the challenge window is open for {left} s more, by the chain's clock")
            return False
        transaction = self._chain.finalise(row.epoch).tx_hash
        self._update(row, state="final", finalise_tx=transaction, error=None)
        log.info("epoch %d is final: %s", row.epoch, transaction)
        return True

    def _kept(self, row: EpochRow) -> EpochState:
        kept = self._chain.epoch(row.epoch)
        if kept.status in (EpochStatus.REJECTED, EpochStatus.UNWOUND):
            raise ChainError(f"epoch {row.epoch} was rejected on chain")
        if kept.status != EpochStatus.NONE and kept.rewards_root.lower() != row.rewards_root:
            raise ChainError(
                f"the chain holds another epoch {row.epoch}",
                hint="use the database that belongs to this deployment, or deploy anew",
            )
        return kept

    def _note(self, row: EpochRow, error: str | None) -> None:
        if row.error != error:
            self._update(row, error=error)
            log.warning("epoch %d waits: %s", row.epoch, error)

    def _update(self, row: EpochRow, **values: str | None) -> None:
        with self._db.write() as s:
            stored = s.get_one(EpochRow, row.epoch)
            for name, value in values.items():
                if value is not None or name == "error":
                    setattr(stored, name, value)

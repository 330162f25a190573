"""The rows of dues and epochs, and every step that they take. Pure database: each function is part of a transaction.

A due belongs to at most one epoch at a time, so that nothing is ever paid twice, and waits when it belongs to none, so
that nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from r1coordinator.store.database import Database
from r1coordinator.store.tables import ContributionRow, DraftRow, DueRow, EpochRow, TraceRow
from r1net.protocol.settlement import EpochReport, JobEpoch

log = logging.getLogger("r1coordinator.settlement")

LIVE = ("proposed", "final")
"""States of the epochs that stand on chain: what comes next builds on the newest of them."""
REJECTED = ("rejected", "unwound")


def epochs(s: Session, states: Sequence[str]) -> list[EpochRow]:
    """The epochs in these states, lowest number first."""
    return list(s.scalars(select(EpochRow).where(EpochRow.state.in_(states)).order_by(EpochRow.epoch)))


def newest(s: Session, states: Sequence[str]) -> EpochRow | None:
    """The epoch with the highest number that is in one of these states."""
    return s.scalar(select(EpochRow).where(EpochRow.state.in_(states)).order_by(EpochRow.epoch.desc()).limit(1))


def dues_of(s: Session, number: int) -> list[DueRow]:
    """The dues that an epoch settles."""
    return list(s.scalars(select(DueRow).where(DueRow.epoch == number).order_by(DueRow.id)))


def open_epoch(s: Session, report: EpochReport, dues: Sequence[DueRow]) -> EpochRow:
    """An epoch is about to be proposed: from now on its dues are its own."""
    digest, text = report.digest(), report.canonical().decode()
    row = _epoch_row(report, digest, text, dues)
    s.add(row)
    s.merge(DraftRow(report_digest=digest, epoch=report.epoch, report=text, dues=[due.id for due in dues]))
    for due in dues:
        due.state, due.epoch, due.error = "settling", report.epoch, None
    s.flush()
    return row


def _epoch_row(report: EpochReport, digest: str, text: str, dues: Sequence[DueRow]) -> EpochRow:
    return EpochRow(
        epoch=report.epoch,
        state="open",
        report=text,
        report_digest=digest,
        rewards_root=report.rewards_root,
        traces=sum(len(part.trace_digests) for part in report.jobs),
        amount=sum(part.amount for part in report.jobs),
        propose_tx=None,
        finalise_tx=None,
        error=None,
        closed_at=max(due.closed_at for due in dues),
        previous_report=report.previous_report,
    )


def take_back(s: Session, row: EpochRow, *, never_sent: bool = False) -> None:
    """An epoch that isn't on chain is given up: its dues wait again, for this number or another."""
    _release(s, dues_of(s, row.epoch))
    if never_sent:
        s.execute(delete(DraftRow).where(DraftRow.report_digest == row.report_digest))
    s.delete(row)
    s.flush()


def stands(s: Session, row: EpochRow, transaction: str | None = None) -> None:
    """The chain holds the epoch, pending or final: what it anchors can be proved."""
    row.state, row.error = "proposed", None
    row.propose_tx = transaction or row.propose_tx
    dues = dues_of(s, row.epoch)
    for due in dues:
        due.state = "settling"
    _anchor(s, dues, row.epoch)


def forgotten(s: Session, row: EpochRow) -> None:
    """A reorganisation took the proposal back: it is sent again as it was."""
    row.state, row.error = "open", "the chain has forgotten the proposal; it is sent again"
    row.propose_tx = row.finalise_tx = None
    dues = dues_of(s, row.epoch)
    for due in dues:
        due.state = "settling"
    _anchor(s, dues, None)


def final(s: Session, row: EpochRow) -> None:
    """The epoch is final, as deep as it takes. Nothing that was drafted for its number, or one before, can come any
    more."""
    row.state, row.error = "final", None
    for due in dues_of(s, row.epoch):
        due.state, due.error = "settled", None
    s.execute(delete(DraftRow).where(DraftRow.epoch <= row.epoch, DraftRow.report_digest != row.report_digest))


def rejected(s: Session, row: EpochRow, most_rejections: int) -> None:
    """The epoch was rejected, as deep as it takes: its dues wait for another number. Those that were in too many
    rejected epochs are held. An epoch that fell with the one below it doesn't count against its dues."""
    below = s.scalar(select(EpochRow.state).where(EpochRow.report_digest == row.previous_report))
    counts = 0 if below in REJECTED else 1
    dues = dues_of(s, row.epoch)
    _release(s, dues)
    for due in dues:
        due.rejections += counts
        due.error = f"epoch {row.epoch} was rejected on chain; this is proposed anew"
        if due.rejections >= most_rejections:
            due.state = "held"
            due.error = f"held for the operator: {due.rejections} epochs with this were rejected, at last {row.epoch}"
    row.state, row.error = "rejected", "rejected on chain; its reserves are still to be given back"
    s.flush()


def adopt(s: Session, draft: DraftRow) -> bool:
    """The chain holds what was drafted and given up: the draft is the epoch after all.

    False when one of its dues is settled by another epoch that stands on chain: a person must look at that.
    """
    dues = list(s.scalars(select(DueRow).where(DueRow.id.in_(draft.dues)).order_by(DueRow.id)))
    others = {due.epoch for due in dues if due.epoch is not None} | {draft.epoch}
    for row in s.scalars(select(EpochRow).where(EpochRow.epoch.in_(others))).all():
        if row.state in LIVE and row.epoch != draft.epoch:
            return False
        _release(s, dues_of(s, row.epoch))
        s.delete(row)
    s.flush()
    report = EpochReport.parse(draft.report)
    row = _epoch_row(report, draft.report_digest, draft.report, dues)
    s.add(row)
    for due in dues:
        due.state, due.epoch = "settling", draft.epoch
    s.flush()
    stands(s, row)
    return True


def alternatives(s: Session, row: EpochRow) -> bool:
    """Whether another report for the epoch's number may still be on its way."""
    found = select(DraftRow.report_digest).where(
        DraftRow.epoch == row.epoch, DraftRow.report_digest != row.report_digest
    )
    return s.scalar(found.limit(1)) is not None


def note(db: Database, number: int, error: str, level: int = logging.WARNING) -> None:
    """Say why an epoch waits."""
    with db.write() as s:
        row = s.get(EpochRow, number)
        if row is not None and row.error != error:
            row.error = error
            log.log(level, "epoch %d waits: %s", number, error)


def tell(db: Database, error: str) -> None:
    """Say of everything that waits for no reason of its own what all wait for."""
    with db.write() as s:
        s.execute(update(EpochRow).where(EpochRow.state.in_(("open", "proposed"))).values(error=error))
        waiting = (DueRow.state == "waiting", DueRow.tries == 0, DueRow.rejections == 0)
        s.execute(update(DueRow).where(*waiting).values(error=error))


def untell(db: Database, error: str) -> None:
    """What all waited for is over."""
    with db.write() as s:
        for table in (EpochRow, DueRow):
            s.execute(update(table).where(table.error == error).values(error=None))


def parts(dues: Iterable[DueRow]) -> list[JobEpoch]:
    """The dues as they stand in a report."""
    return [JobEpoch.parse(due.part) for due in dues]


def _release(s: Session, dues: Sequence[DueRow]) -> None:
    _anchor(s, dues, None)
    for due in dues:
        due.state, due.epoch, due.retry_at = "waiting", None, 0.0


def _anchor(s: Session, dues: Sequence[DueRow], number: int | None) -> None:
    ids = [due.id for due in dues]
    for table in (TraceRow, ContributionRow):
        s.execute(update(table).where(table.due_id.in_(ids)).values(epoch=number))
    s.flush()

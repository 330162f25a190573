"""The rows of dues, epochs and their lines, and every step that they take. Pure database: each function is part of a
transaction.

A due is settled by at most one line at a time, so that nothing is ever paid twice, and waits when none settles it, so
that nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from r1coordinator.settlement.report import settlement_of
from r1coordinator.store.database import Database
from r1coordinator.store.tables import ContributionRow, DueRow, EpochRow, LineRow, TraceRow
from r1net.chain import EpochContent, JobSettlement
from r1net.protocol.settlement import JobEpoch

log = logging.getLogger("r1coordinator.settlement")

REJECTED = ("rejected", "unwound")
OVER = ("final", "unwound")
"""States in which a line can't change any more."""


def epochs(s: Session, *states: str) -> list[EpochRow]:
    """The epochs in these states, lowest number first."""
    return list(s.scalars(select(EpochRow).where(EpochRow.state.in_(states)).order_by(EpochRow.epoch)))


def lines_of(s: Session, number: int) -> list[LineRow]:
    """An epoch's lines, in order."""
    return list(s.scalars(select(LineRow).where(LineRow.epoch == number).order_by(LineRow.line)))


def parts_of(s: Session, number: int) -> list[str]:
    """What an epoch's lines say, in order, as canonical JSON."""
    query = select(DueRow.part).join(LineRow, LineRow.due_id == DueRow.id)
    return list(s.scalars(query.where(LineRow.epoch == number).order_by(LineRow.line)))


def open_epoch(s: Session, number: int, due_ids: Sequence[int]) -> EpochRow:
    """An epoch is about to be proposed: from now on its dues are its own."""
    dues = list(s.scalars(select(DueRow).where(DueRow.id.in_(due_ids)).order_by(DueRow.job_id)))
    content = EpochContent.of(number, (settlement_of(JobEpoch.parse(due.part)) for due in dues))
    row = _add(s, number, content.commitment(), dues)
    for due in dues:
        due.state, due.epoch, due.error = "settling", number, None
        due.sent_as = max(number, due.sent_as or 0)
    s.flush()
    return row


def _add(s: Session, number: int, commitment: str, dues: Sequence[DueRow]) -> EpochRow:
    row = EpochRow(
        epoch=number,
        state="open",
        commitment=commitment,
        propose_tx=None,
        finalise_tx=None,
        tries=0,
        retry_at=0.0,
        final_at=None,
        error=None,
    )
    s.add(row)
    s.add_all(LineRow(epoch=number, line=line, due_id=due.id, state="open") for line, due in enumerate(dues))
    s.flush()
    return row


def known(s: Session, jobs: Sequence[JobSettlement]) -> list[DueRow] | None:
    """The dues that an epoch's lines settle, in order; None unless each of them is one of ours, to the letter."""
    found = []
    for job in jobs:
        due = s.scalar(select(DueRow).where(DueRow.digest == job.report_digest.lower()).limit(1))
        if due is None or settlement_of(JobEpoch.parse(due.part)) != job:
            return None
        found.append(due)
    return found


def adopt(s: Session, number: int, commitment: str, dues: Sequence[DueRow]) -> None:
    """The chain holds these dues under the number, whatever was there or is in the books."""
    row = s.get(EpochRow, number)
    if row is not None:
        take_back(s, row)
    _add(s, number, commitment, dues)


def take_back(s: Session, row: EpochRow) -> None:
    """An epoch that isn't on chain is given up: its dues wait again, for this number or another."""
    _release(s, s.scalars(select(DueRow).where(DueRow.epoch == row.epoch)).all())
    s.execute(delete(LineRow).where(LineRow.epoch == row.epoch))
    s.delete(row)
    s.flush()


def proposed(s: Session, number: int, transaction: str | None = None) -> EpochRow:
    """The chain holds the epoch: what it anchors can be proved."""
    row = s.get_one(EpochRow, number)
    if row.state == "open":
        row.state, row.error = "proposed", None
    row.propose_tx = transaction or row.propose_tx
    for line in lines_of(s, number):
        if line.state == "open":
            pending(s, line)
    return row


def forgotten(s: Session, row: EpochRow) -> None:
    """A reorganisation took the proposal back: it is sent again as it was, unless some of it has moved on."""
    lines = lines_of(s, row.epoch)
    dues = [s.get_one(DueRow, line.due_id) for line in lines]
    if any(due.epoch != row.epoch for due in dues):
        take_back(s, row)
        return
    row.state, row.error = "open", "the chain has forgotten the proposal; it is sent again"
    row.propose_tx = row.finalise_tx = row.final_at = None
    row.retry_at = 0.0
    for line, due in zip(lines, dues, strict=True):
        line.state, due.state = "open", "settling"
    _anchor(s, dues, None)
    log.warning("epoch %d: %s", row.epoch, row.error)


def pending(s: Session, line: LineRow) -> None:
    """The line stands, and isn't paid, or isn't any more. A due that moved on meanwhile comes back, unless it is on
    chain elsewhere too: a person must look at that."""
    line.state = "pending"
    due = s.get_one(DueRow, line.due_id)
    if due.epoch not in (None, line.epoch):
        other = s.get_one(EpochRow, due.epoch)
        if other.state != "open":
            log.error("due %d of job %s stands in epochs %d and %d", due.id, due.job_id, other.epoch, line.epoch)
            return
        take_back(s, other)
    due.state, due.epoch, due.error = "settling", line.epoch, None
    due.sent_as = max(line.epoch, due.sent_as or 0)
    _anchor(s, [due], line.epoch)


def paid(s: Session, line: LineRow) -> None:
    """The line is paid, as deep as it takes."""
    line.state = "final"
    due = s.get_one(DueRow, line.due_id)
    if due.epoch == line.epoch:
        due.state, due.error = "settled", None


def rejected(s: Session, line: LineRow, most_rejections: int) -> None:
    """The line was rejected, as deep as it takes: its due waits for another number. One that was rejected too often is
    held."""
    line.state = "rejected"
    due = s.get_one(DueRow, line.due_id)
    if due.epoch != line.epoch:
        return
    _release(s, [due])
    if due.sent_as == line.epoch:
        due.sent_as = None
    due.rejections += 1
    due.error = f"its line of epoch {line.epoch} was rejected on chain; it is proposed anew"
    if due.rejections >= most_rejections:
        due.state = "held"
        due.error = f"held for the operator: rejected {due.rejections} times, at last in epoch {line.epoch}"


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


def _release(s: Session, dues: Sequence[DueRow]) -> None:
    _anchor(s, dues, None)
    for due in dues:
        due.state, due.epoch, due.retry_at = "waiting", None, 0.0


def _anchor(s: Session, dues: Sequence[DueRow], number: int | None) -> None:
    ids = [due.id for due in dues]
    for table in (TraceRow, ContributionRow):
        s.execute(update(table).where(table.due_id.in_(ids)).values(epoch=number))
    s.flush()

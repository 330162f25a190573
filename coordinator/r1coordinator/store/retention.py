"""Deleting the files of jobs that are over: bundles, versions and models, some time after the end."""

from __future__ import annotations

import logging

from sqlalchemy import Select, delete, exists, select
from sqlalchemy.orm import Session

from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.database import Database
from r1coordinator.store.tables import BlobRow, BundleRow, DueRow, GoneBlobRow, JobRow, RetentionRow, TraceRow
from r1net.errors import Refused

log = logging.getLogger("r1coordinator")

OVER = ("completed", "failed", "cancelled")
_DAY = 86400.0
_SETTLED = ("settled", "unpayable")
"""States in which nothing of a due can change any more."""
_STEP = 50
"""Files deleted in one step: the writers' lock is held meanwhile."""


def keep_house(db: Database, blobs: BlobStore, days: float, now: float) -> int:
    """Take one step: note the jobs that are over, and delete files of one whose `days` have passed, or of models that
    never came whole; their number."""
    with db.read() as s:
        known = select(RetentionRow.job_id)
        ended = list(s.scalars(select(JobRow.job_id).where(JobRow.state.in_(OVER), JobRow.job_id.not_in(known))))
        job_id = s.scalar(_due(now - days * _DAY))
    if ended:
        with db.write() as s:
            s.add_all(RetentionRow(job_id=job_id, over_since=now, swept=False) for job_id in ended)
    with db.write() as s:
        if job_id is not None:
            return _sweep(s, blobs, s.get_one(RetentionRow, job_id), days, now)
        return _forget_unfinished(s, blobs, days, now)


def _due(before: float) -> Select[str]:
    """A job that ended long ago and of which nothing is unsettled."""
    open_traces = exists().where(TraceRow.job_id == RetentionRow.job_id, TraceRow.due_id.is_(None))
    open_dues = exists().where(DueRow.job_id == RetentionRow.job_id, DueRow.state.not_in(_SETTLED))
    due = (RetentionRow.swept.is_(False), RetentionRow.over_since < before, ~open_traces, ~open_dues)
    return select(RetentionRow.job_id).where(*due).order_by(RetentionRow.over_since).limit(1)


def _sweep(s: Session, blobs: BlobStore, row: RetentionRow, days: float, now: float) -> int:
    """Delete up to a step's number of a job's files. They go before the transaction ends: a step that is cut off is
    repeated, and a new job that expects one of them can't come in between."""
    row.gone_since = row.gone_since or now
    s.flush()
    files = list(s.scalars(select(BlobRow.sha256).where(BlobRow.job_id == row.job_id).distinct().limit(_STEP)))
    files += _bundles(s, row.job_id, _STEP - len(files))
    for sha256 in files:
        reason = f"deleted {days:g} days after the end of job {row.job_id}"
        s.merge(GoneBlobRow(sha256=sha256, reason=reason, gone_at=now))
        if not _needed(s, sha256, row.job_id):
            blobs.remove(sha256)
    s.execute(delete(BlobRow).where(BlobRow.job_id == row.job_id, BlobRow.sha256.in_(files)))
    if not files:
        row.swept = True
        log.info("the files of job %s are deleted", row.job_id)
    return len(files)


def _forget_unfinished(s: Session, blobs: BlobStore, days: float, now: float) -> int:
    """Delete the files of models that never came whole: their jobs go on waiting, and may have them sent again."""
    idle = (JobRow.state == "waiting_for_model", JobRow.created_at < now - days * _DAY, BlobRow.present.is_(True))
    rows = list(s.scalars(select(BlobRow).join(JobRow, JobRow.job_id == BlobRow.job_id).where(*idle).limit(_STEP)))
    for row in rows:
        row.present = False
        s.merge(
            GoneBlobRow(sha256=row.sha256, reason=f"deleted: its model was not whole in {days:g} days", gone_at=now)
        )
        if not _needed(s, row.sha256, row.job_id):
            blobs.remove(row.sha256)
    return len(rows)


def _bundles(s: Session, job_id: str, most: int) -> list[str]:
    gone = select(GoneBlobRow.sha256)
    query = select(BundleRow.sha256).where(BundleRow.job_id == job_id, BundleRow.sha256.not_in(gone)).distinct()
    return list(s.scalars(query.limit(most)))


def _needed(s: Session, sha256: str, job_id: str) -> bool:
    """Whether another job has the file too, and keeps its files."""
    for table in (BlobRow, BundleRow):
        going = select(RetentionRow.job_id).where(RetentionRow.gone_since.is_not(None))
        others = (table.sha256 == sha256, table.job_id != job_id, table.job_id.not_in(going))
        if s.scalar(select(table.job_id).where(*others).limit(1)) is not None:
            return True
    return False


def require_kept(s: Session, job_id: str) -> None:
    """Refuse (410) what needs a job's files once they are being deleted."""
    row = s.get(RetentionRow, job_id)
    if row is not None and row.gone_since is not None:
        raise Refused("gone", f"the files of job {job_id} were deleted some time after its end", status=410)


def why_gone(s: Session, sha256: str) -> str | None:
    """Why a blob that was here is not any more."""
    row = s.get(GoneBlobRow, sha256)
    return None if row is None else row.reason

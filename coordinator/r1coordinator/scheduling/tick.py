"""What time alone brings about: leases that expire, attempts that take too long, trainers that come."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.dials import check_reach, forget_dials
from r1coordinator.scheduling.leases import expire
from r1coordinator.scheduling.quarantine import fail_job
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job
from r1coordinator.store.tables import JobRow
from r1coordinator.store.workers import forget_nonces

log = logging.getLogger("r1coordinator")


def tick(db: Database, ctx: Context, now: float) -> bool:
    """Take every step that is due; whether anything changed that somebody may wait for."""
    with db.write() as s:
        ended = expire(s, ctx.settings, now)
        forget_nonces(s, now)
        forget_dials(s, now)
        dialled = check_reach(s, ctx, now)
    with db.read() as s:
        running = list(s.scalars(select(JobRow.job_id).where(JobRow.state == "running")))
    moved = [_advance(db, ctx, job_id, now) for job_id in running]
    return bool(ended) or dialled or any(moved)


def _advance(db: Database, ctx: Context, job_id: str, now: float) -> bool:
    try:
        with db.write() as s:
            return advance(s, ctx, get_job(s, job_id), now)
    except SQLAlchemyError:  # the database's trouble is not the job's: the next turn tries again
        log.exception("job %s waits for the database", job_id)
        return False
    except Exception as error:  # a fault in one job must not stop the others
        log.exception("job %s can't go on", job_id)
        fail_job(db, ctx, job_id, now, f"the coordinator met a fault that this job brings: {type(error).__name__}")
        return True

"""One job's fault stops that job, with a reason that its owner can read, and nothing else."""

from __future__ import annotations

import logging

from r1coordinator.scheduling.advance import fail
from r1coordinator.scheduling.context import Context
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job

log = logging.getLogger("r1coordinator")


def fail_job(db: Database, ctx: Context, job_id: str, now: float, reason: str) -> None:
    """End a job over its own fault; what was accepted of it is still settled. A job that is over stays as it is."""
    with db.write() as s:
        job = get_job(s, job_id)
        if job.state in ("running", "waiting_for_model"):
            log.warning("job %s fails: %s", job_id, reason)
            fail(s, ctx, job, now, reason)

"""One job's fault stops that job, with a reason that its owner can read, and nothing else."""

from __future__ import annotations

import logging

from sqlalchemy import select

from r1coordinator.scheduling.advance import fail
from r1coordinator.scheduling.context import Context
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import BundleRow, LeaseRow
from r1coordinator.verification.scorers import Scorers
from r1net.errors import UsageError
from r1net.protocol.work import RolloutTask

_REASON = 1000

log = logging.getLogger("r1coordinator")

JOB_FAULT = "job_fault"
"""What a node calls a failure that lies in the job's own files or settings."""


def look_for_fault(db: Database, ctx: Context, scorers: Scorers, lease: LeaseRow, now: float) -> None:
    """A node finds the job at fault. What can be tried here is tried here, and decides; the rest its owner can read."""
    with db.read() as s:
        spec = parse_spec(get_job(s, lease.job_id).spec)
        proven = s.scalar(select(BundleRow.lease_id).where(BundleRow.job_id == lease.job_id).limit(1)) is not None
    if lease.kind == "rollout":
        task = RolloutTask.parse(lease.task)
        try:
            scorers.of(lease.job_id, spec).prompts([(task.split, task.round, group) for group in task.groups])
        except UsageError as fault:
            fail_job(db, ctx, lease.job_id, now, f"its problems can't be drawn: {fault}")
            return
    if not proven:
        with db.write() as s:
            job = get_job(s, lease.job_id)
            if job.state == "running":
                job.error = f"a host can't work on it: {lease.reason}"[:_REASON]


def fail_job(db: Database, ctx: Context, job_id: str, now: float, reason: str) -> None:
    """End a job over its own fault; what was accepted of it is still settled. A job that is over stays as it is."""
    with db.write() as s:
        job = get_job(s, job_id)
        if job.state in ("running", "waiting_for_model"):
            log.warning("job %s fails: %s", job_id, reason)
            fail(s, ctx, job, now, reason)

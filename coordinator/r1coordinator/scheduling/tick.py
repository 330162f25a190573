"""What time alone brings about: leases that expire, attempts that take too long, trainers that come."""

from __future__ import annotations

from sqlalchemy import select

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.intake import start_waiting
from r1coordinator.scheduling.leases import expire
from r1coordinator.store.database import Database
from r1coordinator.store.tables import JobRow
from r1coordinator.store.workers import forget_nonces
from r1coordinator.verification.scorers import Scorers


def tick(db: Database, ctx: Context, scorers: Scorers, now: float) -> bool:
    """Take every step that is due; whether anything changed that somebody may wait for."""
    started = start_waiting(db, ctx, scorers, now)
    with db.write() as s:
        ended = expire(s, ctx.settings, now)
        forget_nonces(s, now)
        s.flush()
        jobs = list(s.scalars(select(JobRow).where(JobRow.state == "running")))
        moved = [advance(s, ctx, job, now) for job in jobs]
    return started or bool(ended) or any(moved)

"""Stakes are followed on chain: who unbonds or is slashed gets no more work. Asks the chain, so it runs apart from the
requests."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from r1coordinator.registrations import Registration, Registrations
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import revoke_worker
from r1coordinator.scheduling.shield import advance_all
from r1coordinator.store.database import Database
from r1coordinator.store.tables import JobRow, SessionRow, WorkerRow

log = logging.getLogger("r1coordinator")


def watch_stakes(db: Database, ctx: Context, registrations: Registrations, clock: Callable[[], float]) -> bool:
    """Look at the registry for every worker that is live, or was refused and may be welcome again; whether something
    changed. Raises ChainError."""
    with db.read() as s:
        workers = _watched(s, ctx, clock())
    changed = False
    for worker in workers:
        found = registrations.refresh(worker)
        with db.read() as s:
            row = s.get_one(WorkerRow, worker)
            same = (found.fault(row.owner), found.slots) == (row.refused, row.slots)
        if not same:
            with db.write() as s:
                _take_note(s, ctx, s.get_one(WorkerRow, worker), found, clock())
            changed = True
    return changed


def _watched(s: Session, ctx: Context, now: float) -> list[str]:
    open_sessions = select(SessionRow.worker).where(SessionRow.revoked.is_(False), SessionRow.expires > now)
    live = WorkerRow.last_seen >= now - ctx.settings.lost_after_seconds
    refused = WorkerRow.refused.is_not(None) & WorkerRow.worker.in_(open_sessions)
    return list(s.scalars(select(WorkerRow.worker).where(or_(live, refused)).order_by(WorkerRow.worker)))


def _take_note(s: Session, ctx: Context, row: WorkerRow, found: Registration, now: float) -> None:
    fault = found.fault(row.owner)
    row.refused, row.slots = fault, found.slots
    if fault is None:
        return
    log.warning("worker %s gets no more work: %s", row.worker, fault)
    lost = revoke_worker(s, row.worker, now, fault)
    s.flush()
    jobs = s.scalars(select(JobRow).where(JobRow.job_id.in_({lease.job_id for lease in lost}))).all()
    advance_all(s, ctx, jobs, now)

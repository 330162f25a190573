"""Leases as rows: given, kept alive, ended."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.settings import Settings
from r1coordinator.store.tables import JobRow, LeaseRow, WorkerRow
from r1net.errors import Refused
from r1net.protocol.work import HeartbeatAnswer, PublishTask, RolloutTask, TrainTask


def give(
    s: Session, ctx: Context, job: JobRow, worker: str, task: RolloutTask | TrainTask | PublishTask, now: float
) -> LeaseRow:
    """A new active lease."""
    rollout = task if isinstance(task, RolloutTask) else None
    row = LeaseRow(
        lease_id=ctx.new_id(),
        job_id=job.job_id,
        worker=worker,
        kind=task.kind,
        split=rollout.split if rollout else None,
        round=job.round if isinstance(task, PublishTask) else task.round,
        attempt=task.attempt if isinstance(task, TrainTask) else 0,
        version=task.version.number,
        groups=list(rollout.groups) if rollout else [],
        task=task.model_dump_json(),
        state="active",
        acknowledged=False,
        offers=1,
        issued_at=now,
        expires_at=now + ctx.settings.lease_seconds,
    )
    s.add(row)
    s.flush()
    return row


def end(row: LeaseRow, state: str, now: float, reason: str | None = None, code: str | None = None) -> None:
    """The lease is over."""
    row.state, row.reason, row.code, row.ended_at = state, reason, code, now


def owned(s: Session, lease_id: str, worker: str) -> LeaseRow:
    """The worker's lease, whatever its state; anything else is refused."""
    row = s.get(LeaseRow, lease_id)
    if row is None:
        raise Refused("unknown_lease", f"there is no lease {lease_id}", status=404, hint="ask for work")
    if row.worker.lower() != worker.lower():
        raise Refused("foreign_lease", "the lease belongs to another worker", status=403, hint="ask for work")
    return row


def require_active(row: LeaseRow) -> None:
    """Refuse what comes for a lease that has ended."""
    if row.state != "active":
        reason = row.reason or row.state
        raise Refused("stale_lease", f"the lease is over: {reason}", status=409, hint="drop the task and ask for work")


def heartbeat(s: Session, settings: Settings, lease_id: str, worker: str, now: float) -> HeartbeatAnswer:
    """Keep a lease alive, up to the longest time that one lease may take. Work that is handed in stays alive."""
    row = owned(s, lease_id, worker)
    if row.state in ("reported", "done"):
        return HeartbeatAnswer(alive=True, expires_at=now + settings.lease_seconds)
    if row.state != "active":
        return HeartbeatAnswer(alive=False, expires_at=row.expires_at, reason=row.reason or row.state)
    if row.kind != "train" and now - row.issued_at > settings.round_deadline_seconds:
        end(row, "expired", now, f"not done within {settings.round_deadline_seconds:g} s")
        return HeartbeatAnswer(alive=False, expires_at=row.expires_at, reason=row.reason)
    row.acknowledged = True
    row.expires_at = now + settings.lease_seconds
    return HeartbeatAnswer(alive=True, expires_at=row.expires_at)


def expire(s: Session, settings: Settings, now: float) -> list[LeaseRow]:
    """End the leases whose time is over. One that its worker hasn't fetched yet waits while the worker is live."""
    late = s.execute(
        select(LeaseRow, WorkerRow.last_seen)
        .join(WorkerRow, WorkerRow.worker == LeaseRow.worker)
        .where(LeaseRow.state == "active", LeaseRow.expires_at < now)
    ).all()
    ended = []
    for row, last_seen in late:
        if row.acknowledged or now - last_seen > settings.lost_after_seconds:
            end(row, "expired", now, "no heartbeat in time")
            ended.append(row)
    return ended


def revoke_worker(s: Session, worker: str, now: float, reason: str) -> list[LeaseRow]:
    """Take back every lease of a worker."""
    rows = list(s.scalars(select(LeaseRow).where(LeaseRow.worker == worker, LeaseRow.state == "active")))
    for row in rows:
        end(row, "revoked", now, reason)
    return rows


def revoke_job(s: Session, job_id: str, now: float, reason: str, kinds: Sequence[str]) -> None:
    """Take back a job's leases of some kinds."""
    rows = s.scalars(
        select(LeaseRow).where(LeaseRow.job_id == job_id, LeaseRow.state == "active", LeaseRow.kind.in_(kinds))
    )
    for row in rows:
        end(row, "revoked", now, reason)


def live_workers(s: Session, settings: Settings, now: float) -> list[WorkerState]:
    """The workers that were heard of lately."""
    s.flush()
    busy = set(s.scalars(select(LeaseRow.worker).where(LeaseRow.state == "active", LeaseRow.kind != "publish")))
    rows = s.scalars(select(WorkerRow).where(WorkerRow.last_seen >= now - settings.lost_after_seconds))
    return [
        WorkerState(
            worker=row.worker,
            peer_id=row.peer_id,
            maddrs=tuple(row.maddrs),
            capabilities=frozenset(row.capabilities),
            holds=row.holds,
            last_seen=row.last_seen,
            busy=row.worker in busy,
        )
        for row in rows
    ]

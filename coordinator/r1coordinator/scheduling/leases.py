"""Leases as rows: given, kept alive, ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.model import Reached, WorkerState
from r1coordinator.scheduling.slots import within
from r1coordinator.scheduling.standing import charge, standings
from r1coordinator.settings import Settings
from r1coordinator.store.tables import BundleRow, JobRow, LeaseRow, WorkerRow
from r1net.errors import Refused
from r1net.protocol.work import HeartbeatAnswer, PublishTask, RecomputeTask, RolloutTask, Task, VerifyTask


def give(
    s: Session,
    ctx: Context,
    job: JobRow,
    worker: str,
    task: Task,
    deadline: float,
    now: float,
) -> LeaseRow:
    """A new active lease."""
    rollout = task if isinstance(task, RolloutTask) else None
    row = LeaseRow(
        lease_id=ctx.new_id(),
        job_id=job.job_id,
        worker=worker,
        kind=task.kind,
        split=task.split if isinstance(task, RolloutTask | VerifyTask) else None,
        round=job.round if isinstance(task, PublishTask) else task.round,
        attempt=0 if isinstance(task, RolloutTask | VerifyTask | RecomputeTask) else job.attempt,
        version=task.version.number,
        groups=list(rollout.groups) if rollout else [],
        task=task.model_dump_json(),
        state="active",
        acknowledged=False,
        offers=1,
        issued_at=now,
        expires_at=now + ctx.settings.lease_seconds,
        deadline=deadline,
    )
    s.add(row)
    s.flush()
    return row


def end(row: LeaseRow, state: str, now: float, reason: str | None = None, code: str | None = None) -> None:
    """The lease is over."""
    row.state, row.reason, row.code, row.ended_at = state, reason, code, now


def lapse(s: Session, row: LeaseRow, state: str, now: float, reason: str) -> None:
    """The lease ends because its worker let it: that costs standing. Nobody is blamed over a job of which nothing was
    ever done: it may be the job that stops its hosts; nor for a slot that was given to a host that had left."""
    end(row, state, now, reason, "lapsed")
    if row.kind == "publish":
        charge(s, row.worker, "not_published", now)
    elif row.kind == "train" and not _fetched(row) and s.get_one(WorkerRow, row.worker).last_seen <= row.issued_at:
        return
    elif s.scalar(select(BundleRow.lease_id).where(BundleRow.job_id == row.job_id).limit(1)) is not None:
        charge(s, row.worker, "lapsed", now)


def _fetched(row: LeaseRow) -> bool:
    """Whether its worker has shown that it knows of the lease."""
    return row.acknowledged or row.offers > 1


def owned(s: Session, lease_id: str, worker: str) -> LeaseRow:
    """The worker's lease, whatever its state; anything else is refused."""
    row = s.get(LeaseRow, lease_id)
    if row is None:
        raise Refused("unknown_lease", f"there is no lease {lease_id}", status=404, hint="ask for work")
    if row.worker.lower() != worker.lower():
        raise Refused("foreign_lease", "the lease belongs to another worker", status=403, hint="ask for work")
    return row


def require_kind(row: LeaseRow, *kinds: str) -> None:
    """Refuse what belongs to another kind of lease."""
    if row.kind not in kinds:
        raise Refused("wrong_kind", f"this is a {row.kind} lease", status=409)


def require_active(row: LeaseRow) -> None:
    """Refuse what comes for a lease that has ended."""
    if row.state != "active":
        reason = row.reason or row.state
        raise Refused("stale_lease", f"the lease is over: {reason}", status=409, hint="drop the task and ask for work")


def heartbeat(s: Session, settings: Settings, lease_id: str, worker: str, now: float) -> HeartbeatAnswer:
    """Keep a lease alive, up to its deadline. Work that is handed in stays alive."""
    row = owned(s, lease_id, worker)
    if row.state in ("reported", "done"):
        return HeartbeatAnswer(alive=True, expires_at=now + settings.lease_seconds)
    if row.state == "active" and _too_late(row, now):
        lapse(s, row, "expired", now, "not done before its deadline")
    if row.state != "active":
        return HeartbeatAnswer(alive=False, expires_at=row.expires_at, reason=row.reason or row.state)
    row.acknowledged = True
    row.expires_at = now + settings.lease_seconds
    return HeartbeatAnswer(alive=True, expires_at=row.expires_at)


def expire(s: Session, settings: Settings, now: float) -> list[LeaseRow]:
    """End the leases whose time is over. One that its worker hasn't fetched yet waits for a while if the worker is
    live, unless others wait for it to publish."""
    late = s.execute(
        select(LeaseRow, WorkerRow.last_seen)
        .join(WorkerRow, WorkerRow.worker == LeaseRow.worker)
        .where(LeaseRow.state == "active", (LeaseRow.expires_at < now) | (LeaseRow.deadline < now))
    ).all()
    ended = []
    for row, last_seen in late:
        gone = now - last_seen > settings.lost_after_seconds or row.expires_at + settings.lease_seconds < now
        silent = row.acknowledged or row.kind == "publish" or gone
        if _too_late(row, now):
            lapse(s, row, "expired", now, "not done before its deadline")
        elif row.expires_at < now and silent:
            lapse(s, row, "expired", now, "no heartbeat in time")
        else:
            continue
        ended.append(row)
    return ended


def _too_late(row: LeaseRow, now: float) -> bool:
    """A trainer waits for the others: its attempt has the deadline, not its lease."""
    return row.kind != "train" and row.deadline < now


def revoke_worker(s: Session, worker: str, now: float, reason: str) -> list[LeaseRow]:
    """Take back every lease of a worker, who brought that about."""
    rows = list(s.scalars(select(LeaseRow).where(LeaseRow.worker == worker, LeaseRow.state == "active")))
    for row in rows:
        lapse(s, row, "revoked", now, reason)
    return rows


def revoke_job(s: Session, job_id: str, now: float, reason: str, kinds: Sequence[str]) -> None:
    """Take back a job's leases of some kinds."""
    rows = s.scalars(
        select(LeaseRow).where(LeaseRow.job_id == job_id, LeaseRow.state == "active", LeaseRow.kind.in_(kinds))
    )
    for row in rows:
        end(row, "revoked", now, reason)


def live_workers(s: Session, settings: Settings, now: float) -> list[WorkerState]:
    """The workers that were heard of lately and may work, by what the registry says of their owners."""
    s.flush()
    leased = select(LeaseRow.worker, LeaseRow.job_id).where(LeaseRow.state == "active", LeaseRow.kind != "publish")
    doing = {row.worker: row.job_id for row in s.execute(leased)}
    heard = select(WorkerRow).where(WorkerRow.last_seen >= now - settings.lost_after_seconds)
    rows = [row for row in s.scalars(heard) if row.refused is None]
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.owner].add(row.worker)
    found = standings(s, rows, now)
    return [
        WorkerState(
            worker=row.worker,
            peer_id=row.peer_id,
            maddrs=tuple(row.maddrs),
            capabilities=frozenset(row.capabilities),
            holds=row.holds,
            last_seen=row.last_seen,
            busy=row.worker in doing or now < found[row.worker].paused_until,
            owner=row.owner,
            doing=doing.get(row.worker),
            floors=None if row.floors is None else {token: int(wei) for token, wei in row.floors.items()},
            avoids=frozenset(row.avoids),
            standing=found[row.worker].points,
            reach=(known := _reached(row)),
            checking=row.checking and known.state == "unknown",
        )
        for row in rows
        if within(owners[row.owner], row.worker, row.slots)
    ]


def _reached(row: WorkerRow) -> Reached:
    """Of a `Reach` that was kept as JSON; it is read without checks, for every worker at every request."""
    kept = row.reach
    return Reached(kept["state"], kept["failed"], tuple(kept["maddrs"])) if kept else Reached()

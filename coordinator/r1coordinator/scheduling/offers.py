"""Answering a request for work."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling import rollout
from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.groups import pool
from r1coordinator.scheduling.leases import end, give, live_workers
from r1coordinator.scheduling.model import Progress, WorkerState
from r1coordinator.scheduling.standing import progress
from r1coordinator.store.rows import lease_message, parse_spec
from r1coordinator.store.tables import JobRow, LeaseRow, WorkerRow
from r1net.protocol.work import PublishTask, RolloutTask, WorkAnswer, WorkRequest

_MOST_OFFERS = 5
ROLLOUT_PHASES = ("evaluate_first", "rollout", "evaluate_last")


def offer(s: Session, ctx: Context, worker: str, request: WorkRequest, now: float) -> WorkAnswer:
    """The lease this worker should work on, or why there is none.

    A worker does one thing at a time: asking again while it holds a lease brings the same lease, so that an answer
    lost on the way costs nothing. Only a publish lease under way leaves the worker free for other work.
    """
    jobs = list(s.scalars(select(JobRow).where(JobRow.state == "running").order_by(JobRow.number)))
    row = s.get_one(WorkerRow, worker)
    row.capabilities, row.last_seen = list(request.capabilities), now
    row.holds = _held_versions(jobs, request)
    for job in jobs:
        if job.phase == "train":
            advance(s, ctx, job, now)
    lease = _held(s, ctx, worker, now)
    reason = "no job is running"
    if lease is None:
        wanted = [job for job in jobs if job.job_id not in request.without]
        for job in _open_to(s, ctx, wanted, row):
            found = _from_job(s, ctx, job, worker, now)
            if isinstance(found, LeaseRow):
                lease = found
                break
            reason = found
    if lease is None:
        return WorkAnswer(reason=reason)
    return WorkAnswer(lease=lease_message(lease, ctx.settings.heartbeat_seconds))


def _open_to(s: Session, ctx: Context, jobs: Sequence[JobRow], worker: WorkerRow) -> list[JobRow]:
    """The jobs a worker may get work of. One with a job's current version in memory stays with that job: loading
    another model while a round is trained costs more than waiting."""
    running = [job for job in jobs if job.state == "running"]
    mine = [
        job
        for job in running
        if worker.holds.get(job.job_id) == job.version_number and worker.worker not in progress(s, ctx, job).barred
    ]
    return mine or running


def _held_versions(jobs: Sequence[JobRow], request: WorkRequest) -> dict[str, int]:
    """The versions of these jobs that the worker has in memory, or whose files it has on disk."""
    found = {job.job_id: request.holds[job.job_id] for job in jobs if job.job_id in request.holds}
    for job in jobs:
        files = {name for name in (job.version_policy, job.version_optimizer) if name is not None}
        if job.version_number > 0 and files <= set(request.blobs):
            found[job.job_id] = job.version_number
    return found


def _held(s: Session, ctx: Context, worker: str, now: float) -> LeaseRow | None:
    """The lease that the worker has already. One that it keeps asking about, it can't do: that one is given up."""
    rows = s.scalars(
        select(LeaseRow).where(LeaseRow.worker == worker, LeaseRow.state == "active").order_by(LeaseRow.issued_at)
    )
    for row in rows:
        if row.kind == "publish" and row.acknowledged:
            continue
        if row.acknowledged and row.offers >= _MOST_OFFERS:
            end(row, "failed", now, f"asked for {row.offers} times and never done", "not_done")
            s.flush()
            advance(s, ctx, s.get_one(JobRow, row.job_id), now)
            continue
        row.offers += 1
        row.expires_at = now + ctx.settings.lease_seconds
        return row
    return None


def _from_job(s: Session, ctx: Context, job: JobRow, worker: str, now: float) -> LeaseRow | str:
    workers = live_workers(s, ctx.settings, now)
    me = next(state for state in workers if state.worker == worker)
    standing = progress(s, ctx, job)
    if worker in standing.barred:
        return "this job takes no more work from this worker: too many of its submissions were refused"
    if _should_publish(s, standing, me, workers):
        return give(s, ctx, job, worker, PublishTask(version=standing.version), now)
    if job.phase not in ROLLOUT_PHASES:
        return f"round {job.round} is being trained"
    if "rollout" not in me.capabilities:
        return "only rollouts are needed now"
    if not standing.reachable(me):
        return f"waiting for version {standing.version.number} to be published"
    return _rollout(s, ctx, job, standing, me, workers, now)


def _should_publish(s: Session, job: Progress, me: WorkerState, workers: list[WorkerState]) -> bool:
    """Whether `me` is the one to publish: it holds the version, nobody is at it, and nobody else has tried less."""
    if job.published or me.holds.get(job.job_id) != job.version.number:
        return False
    tries: dict[str, int] = {}
    rows = s.scalars(
        select(LeaseRow).where(
            LeaseRow.job_id == job.job_id, LeaseRow.kind == "publish", LeaseRow.version == job.version.number
        )
    )
    for row in rows:
        if row.state == "active":
            return False
        tries[row.worker] = tries.get(row.worker, 0) + 1
    holders = [w.worker for w in workers if w.holds.get(job.job_id) == job.version.number]
    return tries.get(me.worker, 0) <= min(tries.get(worker, 0) for worker in holders)


def _rollout(
    s: Session, ctx: Context, job: JobRow, standing: Progress, me: WorkerState, workers: list[WorkerState], now: float
) -> LeaseRow | str:
    spec = parse_spec(job.spec)
    demand = rollout.assignment(spec, job.phase, job.round)
    free = pool(s, job.job_id, demand).free
    if not free:
        return f"every group of {job.phase} {demand.round} that is needed is leased"
    failed = _failures(s, job, demand, me.worker)
    if failed and now < max(failed) + rollout.pause_after(len(failed)):
        return "pausing after a failed task"
    limits = spec.sampling if demand.split == "train" else spec.evaluation.sampling
    most = rollout.most_groups(demand.size, limits.max_tokens, ctx.settings.max_body_bytes)
    among = rollout.takers(workers, standing, me.worker, now, ctx.settings.lost_after_seconds)
    groups = free[: rollout.share(len(free), among, most)]
    task = RolloutTask(split=demand.split, round=demand.round, version=standing.version, groups=groups)
    return give(s, ctx, job, me.worker, task, now)


def _failures(s: Session, job: JobRow, demand: rollout.Demand, worker: str) -> list[float]:
    """When the worker's tasks of this phase failed."""
    rows = s.scalars(
        select(LeaseRow.ended_at).where(
            LeaseRow.job_id == job.job_id,
            LeaseRow.kind == "rollout",
            LeaseRow.split == demand.split,
            LeaseRow.round == demand.round,
            LeaseRow.worker == worker,
            LeaseRow.state == "failed",
        )
    )
    return [ended_at for ended_at in rows if ended_at is not None]

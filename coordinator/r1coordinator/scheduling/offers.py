"""Answering a request for work."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling import rollout
from r1coordinator.scheduling.checks import offer_check, undecided
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.deadlines import FIRST_TOKENS
from r1coordinator.scheduling.groups import pool
from r1coordinator.scheduling.holds import PAUSED
from r1coordinator.scheduling.leases import give, lapse, live_workers
from r1coordinator.scheduling.market import Market
from r1coordinator.scheduling.model import Progress, WorkerState
from r1coordinator.scheduling.progress import progress
from r1coordinator.scheduling.rates import known, rollout_terms
from r1coordinator.scheduling.rollout import ROLLOUT_PHASES
from r1coordinator.scheduling.shield import advance_all, shielded
from r1coordinator.scheduling.standing import standings
from r1coordinator.store.rows import lease_message, parse_spec
from r1coordinator.store.tables import JobRow, LeaseRow, WorkerRow
from r1net.protocol.work import RolloutTask, WorkAnswer, WorkRequest

_MOST_OFFERS = 5


@dataclass(frozen=True)
class _Asking:
    """One request: who asks, who else is there, what there is to do, and when."""

    me: WorkerState
    workers: Sequence[WorkerState]
    market: Market
    now: float


def offer(s: Session, ctx: Context, worker: str, request: WorkRequest, now: float) -> WorkAnswer:
    """The lease this worker should work on, or why there is none.

    A worker does one thing at a time: asking again while it holds a lease brings the same lease, so that an answer
    lost on the way costs nothing. Only a publish lease under way leaves the worker free for other work.
    """
    jobs = list(s.scalars(select(JobRow).where(JobRow.state == "running").order_by(JobRow.number)))
    row = s.get_one(WorkerRow, worker)
    row.last_seen = now
    if request.only is None:
        _note_terms(row, request, jobs)
    else:
        jobs = [job for job in jobs if job.job_id == request.only]
    lease = _held(s, ctx, worker, now)
    reason = "no job is running"
    if lease is None:
        unwelcome = _unwelcome(s, ctx, row, now)
        if unwelcome is not None:
            advance_all(s, ctx, [job for job in jobs if job.phase == "train"], now)
            return WorkAnswer(reason=unwelcome)
        found = _search(s, ctx, jobs, worker, now)
        if isinstance(found, LeaseRow):
            lease = found
        elif jobs:
            reason = found
    if lease is None:
        return WorkAnswer(reason=reason)
    return WorkAnswer(lease=lease_message(lease, ctx.settings.heartbeat_seconds))


def _note_terms(row: WorkerRow, request: WorkRequest, jobs: Sequence[JobRow]) -> None:
    """What the worker can do and wants; one that asks in passing for a single job's work doesn't say."""
    row.capabilities, row.avoids = list(request.capabilities), list(request.without)
    row.holds = {job.job_id: request.holds[job.job_id] for job in jobs if job.job_id in request.holds}
    row.floors = None if request.floors is None else {token: str(wei) for token, wei in request.floors.items()}


def _unwelcome(s: Session, ctx: Context, row: WorkerRow, now: float) -> str | None:
    """Why the worker gets nothing now whatever there is to do."""
    if all(state.worker != row.worker for state in live_workers(s, ctx.settings, now)):
        return row.refused or f"its owner's stake is good for {row.slots} workers, and these are active"
    standing = standings(s, [row], now)[row.worker]
    if now < standing.paused_until:
        seconds = standing.paused_until - now
        return f"pausing for {seconds:.0f} s over broken leases; see `r1node status`"
    return None


def _search(s: Session, ctx: Context, jobs: Sequence[JobRow], worker: str, now: float) -> LeaseRow | str:
    """Look in the jobs that the worker takes, the best one first. Training comes where a round waits for trainers."""
    workers = live_workers(s, ctx.settings, now)
    me = next(state for state in workers if state.worker == worker)
    market = Market(s, ctx, workers, now)
    asking = _Asking(me, workers, market, now)
    order = market.order(me)
    rest = [job for job in jobs if job.phase == "train" and job not in order]
    reason = "no job that is running pays what this worker takes" if not order else ""
    for job in order:
        if job.phase == "train":
            advance_all(s, ctx, [job], now)
            held = _held(s, ctx, worker, now)
            if held is not None:
                return held
        found = shielded(s, job, lambda job=job: _from_job(s, ctx, job, asking))  # type: ignore[misc]
        if isinstance(found, LeaseRow):
            return found
        reason = reason or found or "this job can't go on now"
    advance_all(s, ctx, rest, now)
    return _held(s, ctx, worker, now) or reason


def _held(s: Session, ctx: Context, worker: str, now: float) -> LeaseRow | None:
    """The lease that the worker has already. One that it keeps asking about, it can't do: that one is given up."""
    rows = s.scalars(
        select(LeaseRow).where(LeaseRow.worker == worker, LeaseRow.state == "active").order_by(LeaseRow.issued_at)
    )
    for row in rows:
        if row.kind == "publish" and row.acknowledged:
            continue
        if row.acknowledged and row.offers >= _MOST_OFFERS:
            lapse(s, row, "failed", now, f"asked for {row.offers} times and never done")
            s.flush()
            advance_all(s, ctx, [s.get_one(JobRow, row.job_id)], now)
            continue
        row.offers += 1
        row.expires_at = now + ctx.settings.lease_seconds
        return row
    return None


def _from_job(s: Session, ctx: Context, job: JobRow, asking: _Asking) -> LeaseRow | str:
    standing, me = progress(s, ctx, job), asking.me
    check = offer_check(s, ctx, job, me, asking.workers, asking.now)
    if check is not None:
        return check
    nothing = _nothing(job, standing, me)
    if nothing is not None:
        return nothing
    spec, now = parse_spec(job.spec), asking.now
    demand = rollout.assignment(spec, job.phase, job.round)
    free = pool(s, job.job_id, demand).free
    if not free:
        voting = undecided(s, job.job_id, demand.split, demand.round)
        words = "waits for votes on what was drawn of it" if voting else "has every group that is needed leased"
        return f"{job.phase} {demand.round} {words}"
    lost, failed = _lost(s, job, demand, now), _failures(s, job, demand, me.worker)
    takers = [w for w in asking.workers if w.worker not in standing.barred and asking.market.value(job, w) is not None]
    others = [w.worker for w in takers if w.worker != me.worker and "rollout" in w.capabilities]
    free = rollout.not_lost_by(free, me.worker, lost, others)
    if not free:
        return "the groups that this worker lost are kept for others now"
    if failed and now < max(failed) + rollout.pause_after(len(failed)):
        return "pausing after a failed task"
    limits = spec.sampling if demand.split == "train" else spec.evaluation.sampling
    most = rollout.most_groups(demand.size, limits.max_tokens, ctx.settings.max_body_bytes)
    if not known(s, job.job_id, me.worker, "rollout"):
        most = min(most, rollout.first_share(demand.size * limits.max_tokens, FIRST_TOKENS))
    among = rollout.takers(takers, standing, me.worker, now, ctx.settings.lost_after_seconds)
    terms = rollout_terms(s, ctx, job, me, demand.split, rollout.share(len(free), among, most), now)
    groups = free[: terms.groups]
    task = RolloutTask(split=demand.split, round=demand.round, version=standing.version, groups=groups)
    return give(s, ctx, job, me.worker, task, terms.deadline, now)


def _nothing(job: JobRow, standing: Progress, me: WorkerState) -> str | None:
    """Why the job has no groups for the worker, whatever is free."""
    if job.state != "running":
        return f"the job is {job.state}"
    if job.held is not None:
        return "the job's submitter has paused it" if job.held == PAUSED else "the job waits for more money"
    if me.worker in standing.barred:
        return "this job takes no more work from this worker: too many of its submissions were refused"
    if job.phase not in ROLLOUT_PHASES:
        return f"round {job.round} is being trained"
    return None if "rollout" in me.capabilities else "only rollouts are needed now"


def _lost(s: Session, job: JobRow, demand: rollout.Demand, now: float) -> dict[str, set[int]]:
    """Worker -> the groups of this phase that it let lapse or failed, and that are still kept for others."""
    rows = s.scalars(
        select(LeaseRow).where(
            LeaseRow.job_id == job.job_id,
            LeaseRow.kind == "rollout",
            LeaseRow.split == demand.split,
            LeaseRow.round == demand.round,
            LeaseRow.state.in_(("failed", "expired", "refused")),
        )
    )
    by_worker: dict[str, list[LeaseRow]] = defaultdict(list)
    for row in rows:
        by_worker[row.worker].append(row)
    return {
        worker: {group for lease in leases for group in lease.groups}
        for worker, leases in by_worker.items()
        if now < max(lease.ended_at or now for lease in leases) + rollout.held_back(len(leases))
    }


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

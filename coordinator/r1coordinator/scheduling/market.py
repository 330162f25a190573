"""Which job a worker is offered, from the rows: by price and fair share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.groups import pool
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.scheduling.prices import Choice, better_than, draws_away, ranked, worth
from r1coordinator.scheduling.rollout import ROLLOUT_PHASES, assignment
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, JobRow
from r1net.prices import price_of


def value(ctx: Context, job: JobRow, worker: WorkerState) -> Fraction | None:
    """What the job is worth to a worker; None when its floors forbid it."""
    return worth(price_of(parse_spec(job.spec)), worker.floors, ctx.r1)


def running_jobs(s: Session) -> list[JobRow]:
    """The jobs that may have work, the oldest first."""
    return list(s.scalars(select(JobRow).where(JobRow.state == "running").order_by(JobRow.number)))


def choices(
    s: Session, ctx: Context, jobs: Sequence[JobRow], me: WorkerState, others: Sequence[WorkerState]
) -> list[JobRow]:
    """The jobs to look for work in, the first one first. A worker that has a job's version in memory stays with that
    job: loading another model costs more than waiting; unless another job draws it away."""
    active = attached(jobs, [worker for worker in others if worker.worker != me.worker])
    found = [
        Choice(job.job_id, worth, active[job.job_id], held=me.holds.get(job.job_id) == job.version_number)
        for job in jobs
        if (worth := value(ctx, job, me)) is not None
    ]
    by_id = {job.job_id: job for job in jobs}
    order = ranked(found)
    held = next((choice for choice in order if choice.held), None)
    if held is not None and not any(
        draws_away(held, other) and has_work(s, by_id[other.job_id]) for other in order if other is not held
    ):
        return [by_id[held.job_id]]
    return [by_id[choice.job_id] for choice in order]


def attached(jobs: Sequence[JobRow], workers: Sequence[WorkerState]) -> Counter[str]:
    """Job -> the live workers that have a lease of it, or its version in memory and nothing to do."""
    versions = {job.job_id: job.version_number for job in jobs}
    count: Counter[str] = Counter()
    for worker in workers:
        if worker.doing is not None:
            count[worker.doing] += 1
            continue
        count.update(job for job, version in worker.holds.items() if versions.get(job) == version)
    return count


def has_work(s: Session, job: JobRow) -> bool:
    """Whether somebody could get a lease of the job now."""
    if job.phase in ROLLOUT_PHASES:
        return bool(pool(s, job.job_id, assignment(parse_spec(job.spec), job.phase, job.round)).free)
    attempt = s.get(AttemptRow, (job.job_id, job.round, job.attempt)) if job.attempt else None
    return attempt is None or attempt.state == "abandoned"


def would_train(s: Session, ctx: Context, job: JobRow, workers: Sequence[WorkerState]) -> list[WorkerState]:
    """The workers that take the job's price, and for which no other job with work pays so much more that it comes
    first."""
    accepting = {worker.worker: worth for worker in workers if (worth := value(ctx, job, worker)) is not None}
    others = [other for other in running_jobs(s) if other.job_id != job.job_id]
    better = [
        other
        for other in others
        if any(better_than(accepting[w.worker], [value(ctx, other, w)]) for w in workers if w.worker in accepting)
        and has_work(s, other)
    ]
    return [
        worker
        for worker in workers
        if worker.worker in accepting
        and not better_than(accepting[worker.worker], [value(ctx, other, worker) for other in better])
    ]

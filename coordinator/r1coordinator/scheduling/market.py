"""Which job a worker is offered, from the rows: by price and fair share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.groups import pool
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.scheduling.prices import Choice, draws_away, ranked, worth
from r1coordinator.scheduling.rates import measured_since
from r1coordinator.scheduling.rollout import ROLLOUT_PHASES, assignment
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, JobRow
from r1net.prices import Price, price_of

_LATELY = 3600.0
"""Seconds for which accepted work shows that a worker that waits is at a job."""


class Market:
    """The running jobs and the live workers of one moment."""

    def __init__(self, s: Session, ctx: Context, workers: Sequence[WorkerState], now: float) -> None:
        self._s, self._ctx, self._workers, self._now = s, ctx, workers, now
        self._work: dict[str, bool] = {}
        self._prices: dict[str, Price] = {}

    @cached_property
    def jobs(self) -> dict[str, JobRow]:
        """The jobs that may have work, the oldest first."""
        running = select(JobRow).where(JobRow.state == "running").order_by(JobRow.number)
        return {job.job_id: job for job in self._s.scalars(running)}

    def value(self, job: JobRow, worker: WorkerState) -> Fraction | None:
        """What the job is worth to a worker; None when its floors forbid it, or it avoids the job."""
        if job.job_id in worker.avoids:
            return None
        return worth(self._price(job), worker.floors, self._ctx.r1)

    def order(self, me: WorkerState) -> list[JobRow]:
        """The jobs to look for work in, the first one first. A worker that has a job's version in memory stays with
        that job, since loading another model costs more than waiting; unless another job draws it away."""
        others = self._attached.copy()
        others.subtract(self._places(me))
        found = [
            Choice(job_id, worth, others[job_id], held=me.holds.get(job_id) == job.version_number)
            for job_id, job in self.jobs.items()
            if (worth := self.value(job, me)) is not None
        ]
        order = ranked(found)
        held = next((choice for choice in order if choice.held), None)
        if held is not None and not any(
            draws_away(held, other) and self._has_work(self.jobs[other.job_id]) for other in order if other is not held
        ):
            return [self.jobs[held.job_id]]
        return [self.jobs[choice.job_id] for choice in order]

    def would_train(self, job: JobRow, worker: WorkerState) -> bool:
        """Whether the job is among those that an idle worker would take now: not while it stays with another one, and
        not for nothing while there is work that pays."""
        if job not in self.order(worker):
            return False
        return bool(self.value(job, worker)) or not any(
            self.value(other, worker) and self._has_work(other) for other in self.jobs.values()
        )

    @cached_property
    def _attached(self) -> Counter[str]:
        return Counter(job_id for worker in self._workers for job_id in self._places(worker))

    def _places(self, worker: WorkerState) -> list[str]:
        """Where a live worker counts: at the job that it has a lease of; with nothing to do, at the one whose version
        it has, if work of it was accepted there lately. Its word alone would let it crowd a job without working."""
        if worker.doing is not None:
            return [worker.doing]
        return [
            job_id
            for job_id, version in worker.holds.items()
            if (job_id, worker.worker) in self._at_work and version == self.jobs[job_id].version_number
        ]

    @cached_property
    def _at_work(self) -> set[tuple[str, str]]:
        lately = measured_since(self._s, self._now - _LATELY)
        return {(job_id, worker) for job_id, worker in lately if job_id in self.jobs}

    def _price(self, job: JobRow) -> Price:
        if job.job_id not in self._prices:
            self._prices[job.job_id] = price_of(parse_spec(job.spec))
        return self._prices[job.job_id]

    def _has_work(self, job: JobRow) -> bool:
        if job.job_id not in self._work:
            self._work[job.job_id] = has_work(self._s, job)
        return self._work[job.job_id]


def has_work(s: Session, job: JobRow) -> bool:
    """Whether somebody could get a lease of the job now."""
    if job.phase in ROLLOUT_PHASES:
        return bool(pool(s, job.job_id, assignment(parse_spec(job.spec), job.phase, job.round)).free)
    attempt = s.get(AttemptRow, (job.job_id, job.round, job.attempt)) if job.attempt else None
    return attempt is None or attempt.state == "abandoned"

"""Suspicion and the attempts of a round, as rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.blame import Suspicion, Tried
from r1coordinator.store.tables import AttemptRow, JobRow
from r1net.protocol.work import TrainTask


def suspicion_of(job: JobRow) -> dict[str, Suspicion]:
    """Who is suspected of breaking the job's attempts."""
    return {worker: Suspicion(points, int(until)) for worker, (points, until) in job.suspicion.items()}


def keep_suspicion(job: JobRow, found: Mapping[str, Suspicion]) -> None:
    """Remember it."""
    job.suspicion = {worker: [one.points, one.until] for worker, one in found.items()}


def history(s: Session, job: JobRow) -> list[Tried]:
    """The attempts of the job's round that failed, the first one first."""
    rows = s.scalars(
        select(AttemptRow)
        .where(AttemptRow.job_id == job.job_id, AttemptRow.round == job.round, AttemptRow.state == "abandoned")
        .order_by(AttemptRow.attempt)
    )
    return [tried(row) for row in rows]


def tried(row: AttemptRow) -> Tried:
    """A failed attempt."""
    workers = tuple(slot.worker for slot in TrainTask.parse(row.task).slots)
    return Tried(workers, tuple(row.blamed), row.ended_at or row.started_at)

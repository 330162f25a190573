"""One job's fault must not become that of whoever asks for work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.context import Context
from r1coordinator.store.tables import JobRow

log = logging.getLogger("r1coordinator")

T = TypeVar("T")


def shielded(s: Session, job: JobRow, work: Callable[[], T]) -> T | None:
    """Do something for one job; what it changed is undone when the job's state brings a fault, and None returned. The
    tick will meet the fault too, and end the job over it."""
    try:
        with s.begin_nested():
            return work()
    except SQLAlchemyError:  # the database's trouble is not the job's
        raise
    except Exception:  # whatever a job's rows make of the rules
        log.exception("job %s is left to the tick", job.job_id)
        return None


def advance_all(s: Session, ctx: Context, jobs: Iterable[JobRow], now: float) -> None:
    """Take every step that is due in each of the jobs."""
    for job in jobs:
        shielded(s, job, lambda job=job: advance(s, ctx, job, now))  # type: ignore[misc]

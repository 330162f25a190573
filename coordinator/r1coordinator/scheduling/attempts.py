"""Training attempts as rows: opened, given up, agreed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling import training
from r1coordinator.scheduling.conclude import conclude
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.groups import round_work
from r1coordinator.scheduling.leases import end, give, live_workers
from r1coordinator.scheduling.model import Abandoned, Agreed, SlotState
from r1coordinator.scheduling.standing import progress
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, JobRow, LeaseRow, ReportRow
from r1net.protocol.work import TrainTask

_MISSED_BEATS = 1.5
"""Heartbeats that a trainer may miss before an attempt starts without it."""


def train_step(s: Session, ctx: Context, job: JobRow, now: float) -> bool | str:
    """One step of the training phase: whether something changed, or why the job has failed."""
    attempt = s.get(AttemptRow, (job.job_id, job.round, job.attempt)) if job.attempt else None
    if attempt is None or attempt.state == "abandoned":
        if attempt is not None and attempt.attempt >= ctx.settings.max_attempts:
            return f"round {job.round}: {attempt.attempt} training attempts failed; the last: {attempt.reason}"
        return _open(s, ctx, job, attempt, now)
    leases = attempt_leases(s, job.job_id, job.round, attempt.attempt)
    outcome = training.verdict(slot_states(s, leases), attempt.started_at, ctx.settings.train_deadline_seconds, now)
    if isinstance(outcome, Abandoned):
        _abandon(attempt, leases, outcome.reason, now)
        return True
    if isinstance(outcome, Agreed):
        conclude(s, ctx, job, attempt, leases, outcome, now)
        return True
    return False


def attempt_leases(s: Session, job_id: str, round_: int, attempt: int) -> Sequence[LeaseRow]:
    """The leases of an attempt's slots."""
    return s.scalars(
        select(LeaseRow)
        .where(
            LeaseRow.job_id == job_id,
            LeaseRow.kind == "train",
            LeaseRow.round == round_,
            LeaseRow.attempt == attempt,
        )
        .order_by(LeaseRow.worker)
    ).all()


def slot_states(s: Session, leases: Sequence[LeaseRow]) -> list[SlotState]:
    """How each slot of an attempt is doing."""
    reports = {
        row.lease_id: (row.policy, row.optimizer)
        for row in s.scalars(select(ReportRow).where(ReportRow.lease_id.in_([lease.lease_id for lease in leases])))
    }
    return [
        SlotState(
            worker=lease.worker,
            report=reports.get(lease.lease_id),
            failure=(lease.code or "failed") if lease.state == "failed" else None,
            lost=lease.state in ("expired", "revoked"),
        )
        for lease in leases
    ]


def _open(s: Session, ctx: Context, job: JobRow, last: AttemptRow | None, now: float) -> bool:
    ended_at = last.ended_at if last is not None else None
    if last is not None and ended_at is not None and now < ended_at + training.pause_before_retry(last.attempt):
        return False
    previous = attempt_leases(s, job.job_id, job.round, job.attempt) if job.attempt else []
    left_out = frozenset(row.worker for row in previous if row.state == "failed" and training.own_fault(row.code))
    standing = progress(s, ctx, job)
    workers = live_workers(s, ctx.settings, now)
    patience = ctx.settings.heartbeat_seconds * _MISSED_BEATS
    chosen = training.trainers(workers, standing, left_out, now, patience, ended_at)
    if not chosen:
        return False
    work = round_work(s, parse_spec(job.spec), job.job_id, job.round)
    job.attempt += 1
    task = TrainTask(
        round=job.round,
        attempt=job.attempt,
        version=standing.version,
        slots=training.build_slots(chosen, work.bundles),
        groups=work.groups,
        tokens=work.tokens,
        sequences=work.sequences,
        reward_std=work.reward_std,
    )
    s.add(
        AttemptRow(
            job_id=job.job_id,
            round=job.round,
            attempt=job.attempt,
            state="pending",
            task=task.model_dump_json(),
            started_at=now,
        )
    )
    for worker in chosen:
        give(s, ctx, job, worker.worker, task, now)
    return True


def _abandon(attempt: AttemptRow, leases: Sequence[LeaseRow], reason: str, now: float) -> None:
    attempt.state, attempt.reason, attempt.ended_at = "abandoned", reason, now
    for row in leases:
        if row.state in ("active", "reported"):
            end(row, "revoked", now, f"attempt {attempt.attempt} was given up: {reason}")

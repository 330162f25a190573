"""Training attempts as rows: opened, given up, published, agreed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling import blame, statements, training
from r1coordinator.scheduling.conclude import conclude
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.dials import recheck
from r1coordinator.scheduling.groups import round_work
from r1coordinator.scheduling.leases import end, give, lapse, live_workers
from r1coordinator.scheduling.market import Market
from r1coordinator.scheduling.model import Abandoned, Agreed, SlotState, WorkerState
from r1coordinator.scheduling.progress import progress
from r1coordinator.scheduling.publishing import begin, publish_orders, publish_step
from r1coordinator.scheduling.rates import train_deadline
from r1coordinator.scheduling.reach import company
from r1coordinator.scheduling.suspicions import history, keep_suspicion, suspicion_of, tried
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, GradientRow, JobRow, LeaseRow, ReportRow, WorkerRow
from r1net.protocol.work import TrainTask

_OUT = ("expired", "revoked", "refused")
"""States of leases of which nothing comes any more, whatever was reported."""

_MISSED_BEATS = 1.5
"""Heartbeats that a trainer may miss before an attempt starts without it."""


def train_step(s: Session, ctx: Context, job: JobRow, now: float) -> bool | str:
    """One step of the training phase: whether something changed, or why the job has failed."""
    attempt = s.get(AttemptRow, (job.job_id, job.round, job.attempt)) if job.attempt else None
    if attempt is None or attempt.state == "abandoned":
        failed = blame.counted(history(s, job))
        if attempt is not None and failed >= ctx.settings.max_attempts:
            return f"round {job.round}: {failed} training attempts failed; the last: {attempt.reason}"
        return job.held is None and _open(s, ctx, job, attempt, now)
    leases = attempt_leases(s, job.job_id, job.round, attempt.attempt)
    slots = slot_states(s, leases)
    if attempt.state == "publishing":
        return _publish(s, ctx, job, attempt, leases, slots, now)
    outcome = training.verdict(slots, max(row.deadline for row in leases), now)
    if isinstance(outcome, Abandoned):
        _abandon(s, job, attempt, leases, outcome, now)
        if any(slot.failure in training.SHARED_FAILURES for slot in slots):
            recheck(s, [slot.worker for slot in slots], now)
        return True
    if isinstance(outcome, Agreed):
        begin(s, ctx, job, attempt, outcome)
        return True
    return False


def _publish(
    s: Session,
    ctx: Context,
    job: JobRow,
    attempt: AttemptRow,
    leases: Sequence[LeaseRow],
    slots: Sequence[SlotState],
    now: float,
) -> bool:
    before = len(publish_orders(s, attempt))
    settled = statements.settle(s, ctx, job, attempt, leases, now)
    found = statements.verdicts(s, job.job_id, leases)
    bad = [row for row in found.values() if row.state in ("failed", "dropped")]
    if bad:  # before the majority is counted, which convictions may have ended: else nobody would be to blame
        blamed = tuple(sorted(row.worker for row in bad if row.state == "failed"))
        words = f"the gradient of {bad[0].worker} was found to be another than its slot's"
        _abandon(s, job, attempt, leases, Abandoned(words, blamed), now)
        return True
    outcome = publish_step(s, ctx, job, attempt, slot_states(s, leases) if settled else slots, now)
    if isinstance(outcome, Abandoned):
        _abandon(s, job, attempt, leases, outcome, now)
        return True
    if isinstance(outcome, Agreed) and settled and not any(row.state == "open" for row in found.values()):
        conclude(s, job, attempt, leases, outcome, now)
        return True
    return len(publish_orders(s, attempt)) > before


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
    fixed = select(GradientRow.lease_id).where(GradientRow.lease_id.in_([lease.lease_id for lease in leases]))
    committed = set(s.scalars(fixed))
    owners = {
        row.worker: row.owner
        for row in s.scalars(select(WorkerRow).where(WorkerRow.worker.in_([lease.worker for lease in leases])))
    }
    return [
        SlotState(
            worker=lease.worker,
            owner=owners[lease.worker],
            report=None if lease.state in _OUT else reports.get(lease.lease_id),
            failure=(lease.code or "failed") if lease.state == "failed" else None,
            lost=lease.state in _OUT,
            committed=lease.lease_id in committed,
        )
        for lease in leases
    ]


def _open(s: Session, ctx: Context, job: JobRow, last: AttemptRow | None, now: float) -> bool:
    ended_at = last.ended_at if last is not None else None
    if last is not None and ended_at is not None and now < ended_at + training.pause_before_retry(last.attempt):
        return False
    chosen = _choose(s, ctx, job, ended_at, now)
    if not chosen:
        return False
    standing = progress(s, ctx, job)
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
            blamed=[],
            block=None,
            seed=None,
            state_by=None,
        )
    )
    holders = {worker.worker for worker in chosen if worker.holds.get(job.job_id) == job.version_number}
    deadline = train_deadline(s, ctx, job, task.slots, holders, now)
    for worker in chosen:
        give(s, ctx, job, worker.worker, task, deadline, now)
    return True


def _choose(s: Session, ctx: Context, job: JobRow, failed_at: float | None, now: float) -> tuple[WorkerState, ...]:
    """Who trains now; none means: wait."""
    standing = progress(s, ctx, job)
    patience = ctx.settings.heartbeat_seconds * _MISSED_BEATS
    workers = live_workers(s, ctx.settings, now)
    market = Market(s, ctx, workers, now)
    idle = training.able_trainers(workers, standing, now, patience, failed_at)
    willing = [worker for worker in idle if market.would_train(job, worker)]
    able = company(willing, f"{job.job_id}/{job.round}/{job.attempt + 1}")
    suspicion, before = suspicion_of(job), history(s, job)
    if not able:
        return ()
    if not before:
        return blame.starters(able, suspicion, job.round)
    return blame.retry(able, suspicion, before, f"{job.job_id}/{job.round}/{job.attempt + 1}", now)


def _abandon(
    s: Session, job: JobRow, attempt: AttemptRow, leases: Sequence[LeaseRow], outcome: Abandoned, now: float
) -> None:
    attempt.state, attempt.reason, attempt.ended_at = "abandoned", outcome.reason, now
    attempt.blamed = list(outcome.blamed)
    keep_suspicion(job, blame.suspect(suspicion_of(job), tried(attempt), job.round))
    reason = f"attempt {attempt.attempt} was given up: {outcome.reason}"
    for row in [*leases, *publish_orders(s, attempt)]:
        if row.state == "active" and row.worker in outcome.blamed:
            lapse(s, row, "expired", now, reason)
        elif row.state in ("active", "reported"):
            end(row, "revoked", now, reason)

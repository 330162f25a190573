"""An attempt was agreed: the version, the round's record, the pay, and the next phase."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, revoke_job
from r1coordinator.scheduling.model import Agreed
from r1coordinator.scheduling.record import round_record
from r1coordinator.settlement.close import close_due
from r1coordinator.store.rows import parse_spec, token_of
from r1coordinator.store.tables import (
    AttemptRow,
    BlobRow,
    ContributionRow,
    JobRow,
    LeaseRow,
    ReportRow,
    RoundRow,
    WorkerRow,
)
from r1net.protocol.job import JobSpec

_SLACK = 1 << 20
_POLICY_GROWTH = 4
"""A version may be kept in a wider number format than the model's file."""
_OPTIMIZER_GROWTH = 12
"""Two moments and a master copy for each weight, in a wider format."""


def conclude(
    s: Session,
    ctx: Context,
    job: JobRow,
    attempt: AttemptRow,
    leases: Sequence[LeaseRow],
    agreed: Agreed,
    now: float,
) -> None:
    """Move the job to the agreed version and into its next phase."""
    spec = parse_spec(job.spec)
    attempt.state, attempt.ended_at = "agreed", now
    reports = {row.worker: row for row in s.scalars(_reports(job, attempt.attempt))}
    job.version_number, job.version_policy, job.version_optimizer = job.round + 1, agreed.policy, agreed.optimizer
    for lease in leases:
        if lease.state == "reported":
            same = lease.worker in agreed.workers
            end(lease, "done", now, None if same else "came to another version than the majority")
    for worker in agreed.workers:
        pay_training(s, job, reports[worker])
        _mark_holder(s, job, worker)
    _expect_files(s, ctx, job, spec)
    revoke_job(s, job.job_id, now, "a newer version was agreed", ("publish",))
    record = round_record(s, job, attempt, list(reports.values()), now)
    s.add(RoundRow(job_id=job.job_id, round=job.round, record=record.model_dump_json()))
    _next_phase(s, ctx, job, spec, now)


def pay_training(s: Session, job: JobRow, report: ReportRow) -> None:
    """The contribution of a slot that came to the agreed version."""
    s.add(
        ContributionRow(
            lease_id=report.lease_id,
            job_id=job.job_id,
            kind="training",
            account=s.get_one(WorkerRow, report.worker).owner,
            worker=report.worker,
            round=report.round,
            tokens=report.tokens,
            evidence=report.policy,
            token=token_of(parse_spec(job.spec)),
        )
    )


def _mark_holder(s: Session, job: JobRow, worker: str) -> None:
    row = s.get_one(WorkerRow, worker)
    row.holds = {**row.holds, job.job_id: job.version_number}


def _reports(job: JobRow, attempt: int) -> Select[ReportRow]:
    return select(ReportRow).where(
        ReportRow.job_id == job.job_id, ReportRow.round == job.round, ReportRow.attempt == attempt
    )


def _expect_files(s: Session, ctx: Context, job: JobRow, spec: JobSpec) -> None:
    weights = sum(file.size for name, file in spec.model.files.items() if name.endswith(".safetensors"))
    expected = {"policy": (job.version_policy, _POLICY_GROWTH), "optimizer": (job.version_optimizer, _OPTIMIZER_GROWTH)}
    for kind, (digest, growth) in expected.items():
        if digest is None:
            continue
        s.merge(
            BlobRow(
                job_id=job.job_id,
                sha256=digest,
                kind=kind,
                version=job.version_number,
                limit=min(weights * growth + _SLACK, ctx.settings.max_blob_bytes),
                present=False,
            )
        )


def _next_phase(s: Session, ctx: Context, job: JobRow, spec: JobSpec, now: float) -> None:
    job.round, job.attempt, job.round_started_at = job.round + 1, 0, now
    if job.round >= spec.stage.rounds:
        job.phase = "evaluate_last"
        return
    job.phase = "rollout"
    if job.round - job.settled_round >= spec.epoch_rounds:
        close_due(s, job, now)

"""An attempt was agreed: the version, the round's record, the pay, and the next phase."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.blame import cleared
from r1coordinator.scheduling.leases import end
from r1coordinator.scheduling.mixes import open_round
from r1coordinator.scheduling.model import Agreed
from r1coordinator.scheduling.record import round_record
from r1coordinator.scheduling.standing import charge
from r1coordinator.scheduling.suspicions import history, keep_suspicion, suspicion_of
from r1coordinator.settlement.close import close_due
from r1coordinator.store.rows import parse_spec, token_of
from r1coordinator.store.tables import (
    AttemptRow,
    ContributionRow,
    GradientRow,
    JobRow,
    LeaseRow,
    ReportRow,
    RoundRow,
    WorkerRow,
)
from r1net.protocol.job import JobSpec


def conclude(
    s: Session,
    job: JobRow,
    attempt: AttemptRow,
    leases: Sequence[LeaseRow],
    agreed: Agreed,
    now: float,
) -> None:
    """Move the job to the agreed version, whose files are here, and into its next phase. `agreed` names who is paid."""
    spec = parse_spec(job.spec)
    attempt.state, attempt.ended_at = "agreed", now
    _settle_blame(s, job, agreed, now)
    reports = {row.worker: row for row in s.scalars(_reports(job, attempt.attempt))}
    job.version_number, job.version_policy, job.version_optimizer = job.round + 1, agreed.policy, agreed.optimizer
    for lease in leases:
        if lease.state == "reported":
            report = reports[lease.worker]
            same = (report.policy, report.optimizer) == (agreed.policy, agreed.optimizer)
            end(lease, "done", now, None if same else "came to another version than the majority")
            if not same:
                charge(s, lease.worker, "another_version", now)
    for worker in agreed.workers:
        pay_training(s, job, reports[worker])
        _mark_holder(s, job, worker)
    record = round_record(s, job, attempt, list(reports.values()), now)
    s.add(RoundRow(job_id=job.job_id, round=job.round, record=record.model_dump_json()))
    _next_phase(s, job, spec, now)


def _settle_blame(s: Session, job: JobRow, agreed: Agreed, now: float) -> None:
    """That somebody could train the round shows that whoever failed at it alone was at fault. Lapses were charged when
    they happened."""
    failed = select(LeaseRow.worker).where(
        LeaseRow.job_id == job.job_id,
        LeaseRow.kind == "train",
        LeaseRow.round == job.round,
        LeaseRow.state == "failed",
    )
    guilty = {worker for tried in history(s, job) for worker in tried.blamed} & set(s.scalars(failed))
    for worker in sorted(guilty - set(agreed.workers)):
        charge(s, worker, "failed_alone", now)
    keep_suspicion(job, cleared(suspicion_of(job), agreed.workers))


def pay_training(s: Session, job: JobRow, report: ReportRow) -> None:
    """The contribution of a slot that came to the agreed version. What it rests on is the trainer's statement; where
    nothing is checked, nobody has made one."""
    gradient = s.get_one(GradientRow, report.lease_id)
    s.add(
        ContributionRow(
            lease_id=report.lease_id,
            job_id=job.job_id,
            kind="training",
            account=s.get_one(WorkerRow, report.worker).owner,
            worker=report.worker,
            round=report.round,
            tokens=report.tokens,
            evidence=gradient.statement or report.policy,
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


def _next_phase(s: Session, job: JobRow, spec: JobSpec, now: float) -> None:
    job.round, job.attempt, job.round_started_at = job.round + 1, 0, now
    if job.round >= spec.stage.rounds:
        job.phase = "evaluate_last"
        return
    job.phase = "rollout"
    open_round(s, job, spec)
    if job.round - job.settled_round >= spec.epoch_rounds:
        close_due(s, job, now)

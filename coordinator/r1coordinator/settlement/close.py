"""Closing an epoch: what a job owes since its last epoch is priced and fixed in a report. Needs no chain."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.settlement.pricing import Work, price
from r1coordinator.settlement.report import build_report
from r1coordinator.store.rows import parse_spec, token_of
from r1coordinator.store.tables import ContributionRow, EpochRow, JobRow, TraceRow
from r1net.protocol.settlement import Contribution, EpochReport, JobEpoch
from r1net.protocol.trace import trace_tree


def close_epoch(s: Session, chain_id: int, job: JobRow, now: float) -> int | None:
    """Close the job's open epoch; its number, or None when nothing was accepted since the last one."""
    s.flush()
    open_rows = (ContributionRow.job_id == job.job_id, ContributionRow.epoch.is_(None))
    contributions = s.scalars(select(ContributionRow).where(*open_rows).order_by(ContributionRow.lease_id)).all()
    traces = s.scalars(
        select(TraceRow).where(TraceRow.job_id == job.job_id, TraceRow.epoch.is_(None)).order_by(TraceRow.number)
    ).all()
    if not traces:
        return None
    previous = s.scalar(select(EpochRow).order_by(EpochRow.epoch.desc()).limit(1))
    number = previous.epoch + 1 if previous else 1
    _price(s, job, contributions, number)
    part = _job_epoch(job, contributions, [trace.digest for trace in traces])
    report = build_report(
        number,
        chain_id,
        part,
        [(row.token, row.account, row.amount or 0) for row in contributions],
        EpochReport.parse(previous.report) if previous else None,
    )
    for trace in traces:
        trace.epoch = number
    job.settled_round, job.settled_policy = job.round, job.version_policy
    _store(s, report, part, now)
    return number


def _price(s: Session, job: JobRow, contributions: Sequence[ContributionRow], number: int) -> None:
    spec = parse_spec(job.spec)
    paid = s.scalars(select(ContributionRow.amount).where(ContributionRow.job_id == job.job_id))
    left = spec.budget - sum(amount for amount in paid if amount is not None)
    works = [Work(kind=row.kind, tokens=row.tokens) for row in contributions]
    for row, amount in zip(contributions, price(works, spec.prices, min(left, job.epoch_cap)), strict=True):
        row.amount, row.epoch = amount, number


def _job_epoch(job: JobRow, contributions: Sequence[ContributionRow], digests: list[str]) -> JobEpoch:
    return JobEpoch(
        job_id=job.job_id,
        token=token_of(parse_spec(job.spec)),
        amount=sum(row.amount or 0 for row in contributions),
        rounds=(job.settled_round, job.round),
        parent_policy=job.settled_policy,
        new_policy=job.version_policy,
        traces_root=trace_tree(digests).root,
        trace_digests=tuple(digests),
        contributions=tuple(_message(row) for row in contributions),
    )


def _message(row: ContributionRow) -> Contribution:
    return Contribution.model_validate(
        {
            "job_id": row.job_id,
            "kind": row.kind,
            "account": row.account,
            "worker": row.worker,
            "round": row.round,
            "lease_id": row.lease_id,
            "tokens": row.tokens,
            "evidence": row.evidence,
        }
    )


def _store(s: Session, report: EpochReport, part: JobEpoch, now: float) -> None:
    s.add(
        EpochRow(
            epoch=report.epoch,
            state="open",
            report=report.canonical().decode(),
            report_digest=report.digest(),
            rewards_root=report.rewards_root,
            traces=len(part.trace_digests),
            amount=part.amount,
            closed_at=now,
        )
    )
    s.flush()

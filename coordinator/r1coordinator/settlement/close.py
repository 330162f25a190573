"""Closing a job's work: what it owes since the last closing is priced and fixed as a due, a whole line of an epoch to
come. Needs no chain."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from r1coordinator.scheduling.checks import undecided_leases
from r1coordinator.store.rows import parse_spec, token_of
from r1coordinator.store.tables import CheckRow, ContributionRow, DueRow, JobRow, TraceRow
from r1net.protocol.pricing import Work, price
from r1net.protocol.settlement import Contribution, JobEpoch, rewards_of, rewards_root
from r1net.protocol.trace import trace_tree


def close_due(s: Session, job: JobRow, now: float) -> int | None:
    """Fix what the job owes for the work since the last closing; the due's id, or None when nothing was accepted.

    What waits for its draw or for votes is closed another time. Which epoch settles a due is decided when it is
    proposed, see `r1coordinator.settlement.proposer`.
    """
    s.flush()
    _forfeit(s, job)
    checked = undecided_leases(job.job_id)
    open_rows = (
        ContributionRow.job_id == job.job_id,
        ContributionRow.due_id.is_(None),
        ContributionRow.lease_id.not_in(checked),
    )
    contributions = s.scalars(select(ContributionRow).where(*open_rows).order_by(ContributionRow.lease_id)).all()
    open_traces = (TraceRow.job_id == job.job_id, TraceRow.due_id.is_(None), TraceRow.lease_id.not_in(checked))
    digests = list(s.scalars(select(TraceRow.digest).where(*open_traces).order_by(TraceRow.number)))
    if not digests:
        return None
    _price(s, job, contributions)
    part = _job_epoch(job, contributions, digests)
    due = DueRow(
        job_id=job.job_id,
        part=part.canonical().decode(),
        digest=part.digest(),
        amount=part.amount,
        traces=len(digests),
        state="waiting",
        epoch=None,
        sent_as=None,
        tries=0,
        rejections=0,
        retry_at=0.0,
        error=None,
        closed_at=now,
    )
    s.add(due)
    s.flush()
    for row in contributions:
        row.due_id = due.id
    s.execute(update(TraceRow).where(*open_traces).values(due_id=due.id))
    job.settled_round, job.settled_policy = job.round, job.version_policy
    return due.id


def _forfeit(s: Session, job: JobRow) -> None:
    """Whoever was found to cheat since the last closing is not paid for what it brought meanwhile either."""
    before = s.scalar(select(func.max(DueRow.closed_at)).where(DueRow.job_id == job.job_id)) or 0.0
    failed = (CheckRow.job_id == job.job_id, CheckRow.state == "failed", CheckRow.decided_at > before)
    owners = select(CheckRow.owner).where(*failed, CheckRow.planted.is_(False))
    open_ = (ContributionRow.job_id == job.job_id, ContributionRow.due_id.is_(None))
    s.execute(delete(ContributionRow).where(*open_, ContributionRow.account.in_(owners)))


def _price(s: Session, job: JobRow, contributions: Sequence[ContributionRow]) -> None:
    spec = parse_spec(job.spec)
    paid = s.scalars(select(ContributionRow.amount).where(ContributionRow.job_id == job.job_id))
    left = job.budget - sum(amount for amount in paid if amount is not None)
    works = [Work(kind=row.kind, tokens=row.tokens) for row in contributions]
    for row, amount in zip(contributions, price(works, spec.prices, min(left, job.epoch_cap)), strict=True):
        row.amount = amount


def _job_epoch(job: JobRow, contributions: Sequence[ContributionRow], digests: list[str]) -> JobEpoch:
    rewards = rewards_of((row.account, row.amount or 0) for row in contributions)
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
        rewards=rewards,
        rewards_root=rewards_root(rewards),
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

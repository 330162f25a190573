"""What follows from an attempt's statements: who has none, whose sum is another's, and whose gradient is recomputed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.checks import rate_of
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.gradients import commitments_root, gradients, unstated
from r1coordinator.scheduling.leases import end, lapse
from r1coordinator.scheduling.standing import charge
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import AttemptRow, CheckRow, GradientRow, JobRow, LeaseRow, WorkerRow
from r1coordinator.verification.sums import Sums, add_up
from r1net.draws import is_drawn, slot_seed
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.pricing import Work
from r1net.protocol.work import TrainTask

_RIGHT = Sums(holds=True)


def settle(s: Session, ctx: Context, job: JobRow, attempt: AttemptRow, leases: Sequence[LeaseRow], now: float) -> bool:
    """Judge the attempt's statements once all are in, or their time is over; whether that is done."""
    if not parse_spec(job.spec).verification.rate_of("training"):
        return True
    if attempt.seed is None or attempt.state_by is None:
        return False
    missing = unstated(s, attempt, leases)
    if missing and now < attempt.state_by:
        return False
    for lease in missing:
        lapse(s, lease, "expired", now, "did not state its gradient in time")
    rows = {worker: row for worker, row in gradients(s, attempt).items() if row.body is not None}
    if rows:
        _judge(s, ctx, job, attempt, rows, leases, now)
    return True


def verdicts(s: Session, job_id: str, leases: Sequence[LeaseRow]) -> dict[str, CheckRow]:
    """Worker -> the check of its gradient, of an attempt with these leases. Tests of verifiers are left out."""
    of_attempt = (CheckRow.job_id == job_id, CheckRow.lease_id.in_([lease.lease_id for lease in leases]))
    rows = s.scalars(select(CheckRow).where(*of_attempt, CheckRow.planted.is_(False)))
    return {row.worker: row for row in rows}


def _judge(
    s: Session,
    ctx: Context,
    job: JobRow,
    attempt: AttemptRow,
    rows: dict[str, GradientRow],
    leases: Sequence[LeaseRow],
    now: float,
) -> None:
    statements = {worker: GradientStatement.parse(row.body or "") for worker, row in rows.items()}
    whole = len(statements) == len(TrainTask.parse(attempt.task).slots)
    sums = add_up(list(statements.values())) if whole else _RIGHT
    for lease in leases:
        if lease.worker in sums.astray:
            end(lease, "refused", now, "its step was made with another sum than that of the slots", "false_statement")
            charge(s, lease.worker, "false_statement", now)
    root = commitments_root(s, attempt)
    for worker, statement in sorted(statements.items()):
        agreed = (statement.version.policy, statement.version.optimizer) == (attempt.policy, attempt.optimizer)
        if agreed and worker not in sums.astray:
            suspect = not sums.holds or statement.norm == 0
            s.add(_check(s, ctx, job, attempt, statement, root, suspect=suspect, now=now))
    for row in rows.values():
        row.body = None
    s.flush()


def _check(
    s: Session,
    ctx: Context,
    job: JobRow,
    attempt: AttemptRow,
    statement: GradientStatement,
    root: str,
    *,
    suspect: bool,
    now: float,
) -> CheckRow:
    """The draw of one slot. A gradient of nothing, and one of slots that don't add up, is always recomputed."""
    owner = s.scalars(select(WorkerRow.owner).where(WorkerRow.worker == statement.worker)).one()
    task = TrainTask.parse(attempt.task)
    tokens = next(slot.tokens for slot in task.slots if slot.worker == statement.worker)
    rate = rate_of(s, ctx, parse_spec(job.spec), owner, Work("training", tokens), now)
    seed = slot_seed(statement.seed, statement.worker)
    drawn = suspect or is_drawn(seed, rate)
    return CheckRow(
        lease_id=statement.lease_id,
        job_id=job.job_id,
        kind="training",
        split="train",
        round=attempt.round,
        worker=statement.worker,
        owner=owner,
        bundle=statement.digest(),
        traces_root=root,
        count=1,
        version=task.version.model_dump_json(),
        rate=1.0 if suspect else rate,
        block=attempt.block,
        seed=seed,
        positions=[0] if drawn else [],
        state="open" if drawn else "spared",
        planted=False,
        opened_at=now,
        decided_at=None if drawn else now,
    )

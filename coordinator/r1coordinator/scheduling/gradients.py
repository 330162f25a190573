"""What trainers say of their gradients, as rows: commitments before averaging, statements after the draw."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.leases import owned, require_active, require_kind
from r1coordinator.store.tables import AttemptRow, BlobRow, GradientRow, LeaseRow, ReportRow
from r1coordinator.verification.sums import fits_norm
from r1net import draws
from r1net.audit.signed import unsigned
from r1net.errors import Refused
from r1net.protocol.canonical import sha256
from r1net.protocol.gradients import GradientCommitment, GradientStatement, SignedStatement
from r1net.protocol.signing import Domain
from r1net.protocol.work import TrainTask


def commit(s: Session, worker: str, commitment: GradientCommitment) -> None:
    """A trainer fixes its gradient; the same commitment again changes nothing."""
    lease = owned(s, commitment.lease_id, worker)
    require_kind(lease, "train")
    body = commitment.canonical().decode()
    known = s.get(GradientRow, lease.lease_id)
    if known is not None:
        if known.commitment != body:
            raise Refused("committed", "the lease has another commitment already", status=409)
        return
    require_active(lease)
    slots = TrainTask.parse(lease.task).slots
    if len(commitment.sections) != len(slots):
        raise Refused("wrong_sections", f"there are {len(slots)} slots, each with a section", status=422)
    row = GradientRow(
        lease_id=lease.lease_id,
        job_id=lease.job_id,
        round=lease.round,
        attempt=lease.attempt,
        worker=lease.worker,
        commitment=body,
        statement=None,
        body=None,
        signature=None,
    )
    s.add(row)


def gradients(s: Session, attempt: AttemptRow) -> dict[str, GradientRow]:
    """Worker -> what it has said in an attempt."""
    of_attempt = (
        GradientRow.job_id == attempt.job_id,
        GradientRow.round == attempt.round,
        GradientRow.attempt == attempt.attempt,
    )
    return {row.worker: row for row in s.scalars(select(GradientRow).where(*of_attempt))}


def commitments(s: Session, attempt: AttemptRow) -> tuple[GradientCommitment, ...]:
    """What the slots have committed to, in their order; nothing before all have."""
    rows = gradients(s, attempt)
    slots = TrainTask.parse(attempt.task).slots
    if any(slot.worker not in rows for slot in slots):
        return ()
    return tuple(GradientCommitment.parse(rows[slot.worker].commitment) for slot in slots)


def commitments_root(s: Session, attempt: AttemptRow) -> str:
    """What the draw is made of beside the block's hash."""
    return sha256(b"".join(commitment.canonical() for commitment in commitments(s, attempt)))


def check_statement(s: Session, domain: Domain, worker: str, signed: SignedStatement) -> None:
    """Refuse a statement that isn't about what the lease's worker has committed to and reported."""
    statement = signed.statement
    lease = owned(s, statement.lease_id, worker)
    require_kind(lease, "train")
    attempt = s.get_one(AttemptRow, (lease.job_id, lease.round, lease.attempt))
    row, report = s.get(GradientRow, lease.lease_id), s.get(ReportRow, lease.lease_id)
    if row is None or report is None or attempt.seed is None:
        raise Refused("too_early", "the draw comes after the commitment and the report", status=409)
    _require_same(statement, lease, row, attempt)
    if (statement.version.policy, statement.version.optimizer) != (report.policy, report.optimizer):
        raise Refused("wrong_version", "another version was reported", status=422)
    if not fits_norm(statement):
        raise Refused("wrong_norm", "the sketch is not of a gradient of the norm that was committed to", status=422)
    words = unsigned(statement.lease_id, statement.root(), 1, signed.signature, lease.worker, domain)
    if words is not None:
        raise Refused("bad_signature", words, status=422)


def _require_same(statement: GradientStatement, lease: LeaseRow, row: GradientRow, attempt: AttemptRow) -> None:
    commitment = GradientCommitment.parse(row.commitment)
    said = (
        statement.job_id,
        statement.round,
        statement.attempt,
        statement.worker.lower(),
        statement.task,
        statement.commitment,
        statement.norm,
        statement.seed,
        statement.version.number,
    )
    known = (
        lease.job_id,
        lease.round,
        lease.attempt,
        lease.worker.lower(),
        TrainTask.parse(lease.task).digest(),
        commitment.digest(),
        commitment.norm,
        attempt.seed,
        lease.version + 1,
    )
    if said != known:
        raise Refused("wrong_statement", "the statement is not about the lease's gradient", status=422)


def task_of(s: Session, lease_id: str) -> TrainTask:
    """What a trainer was given to do; its statement names its digest, and an audit counts its tokens."""
    return TrainTask.parse(s.get_one(LeaseRow, lease_id).task)


def state(s: Session, signed: SignedStatement) -> bool:
    """Keep a statement that was checked; whether it is new. Another one for the same lease is refused."""
    statement = signed.statement
    row, digest = s.get_one(GradientRow, statement.lease_id), statement.digest()
    if row.statement is not None:
        if row.statement != digest:
            raise Refused("stated", "the lease has another statement already", status=409)
        return False
    row.statement, row.body, row.signature = digest, statement.canonical().decode(), signed.signature
    version = statement.version.number
    for name in (digest, statement.task):
        s.merge(BlobRow(job_id=row.job_id, sha256=name, kind="statement", version=version, limit=0, present=True))
    return True


def unstated(s: Session, attempt: AttemptRow, leases: Sequence[LeaseRow]) -> list[LeaseRow]:
    """The slots that still owe a statement."""
    rows = gradients(s, attempt)
    stated = {worker for worker, row in rows.items() if row.statement is not None}
    return [lease for lease in leases if lease.state in ("active", "reported") and lease.worker not in stated]


def unseeded(s: Session) -> list[AttemptRow]:
    """The attempts that have a majority and no seed yet."""
    return list(s.scalars(select(AttemptRow).where(AttemptRow.state == "publishing", AttemptRow.seed.is_(None))))


def name_blocks(s: Session, head: int) -> list[AttemptRow]:
    """Name the block of attempts that have none, the one after the `head`. Returns those whose block is mined."""
    rows = unseeded(s)
    for row in rows:
        row.block = row.block or head + 1
    return [row for row in rows if row.block is not None and row.block <= head]


def draw_seed(s: Session, attempt: AttemptRow, block_hash: str, state_by: float) -> None:
    """What the block's hash decides; statements are taken until `state_by`."""
    attempt.seed = draws.seed(block_hash, commitments_root(s, attempt))
    attempt.state_by = state_by

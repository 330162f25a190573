"""Checks as rows: submissions are noted and drawn by a block, trainers' statements are drawn by `statements`; both are
leased to verifiers. `votes` has the rules."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, give
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.scheduling.rates import verify_deadline
from r1coordinator.scheduling.standing import points_of
from r1coordinator.scheduling.votes import PATIENCE, Voter, openings, rate_for, wanted
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import (
    BundleRow,
    CheckRow,
    ContributionRow,
    FailedTraceRow,
    JobRow,
    LeaseRow,
    TraceRow,
    VoteRow,
)
from r1net import deterrence
from r1net.draws import is_drawn, positions, rank, seed
from r1net.protocol.job import JobSpec, PolicyVersion
from r1net.protocol.pricing import Work
from r1net.protocol.work import RecomputeTask, RolloutTask, TrainTask, VerifyTask, Vote

UNDECIDED = ("waiting", "open")


def note(
    s: Session, ctx: Context, job: JobRow, lease: LeaseRow, bundle: BundleRow, owner: str, root: str, now: float
) -> None:
    """A submission is fixed: the next block decides whether it is replayed."""
    spec = parse_spec(job.spec)
    if spec.verification.rate == 0:
        return
    row = CheckRow(
        lease_id=lease.lease_id,
        job_id=job.job_id,
        split=bundle.split,
        round=bundle.round,
        worker=bundle.worker,
        owner=owner,
        bundle=bundle.sha256,
        traces_root=root,
        count=bundle.traces,
        version=RolloutTask.parse(lease.task).version.model_dump_json(),
        rate=rate_of(s, ctx, spec, owner, Work("rollout", bundle.tokens), now),
        block=None,
        seed=None,
        positions=[],
        state="waiting",
        planted=False,
        opened_at=now,
        decided_at=None,
    )
    s.add(row)


def rate_of(s: Session, ctx: Context, spec: JobSpec, owner: str, work: Work, now: float) -> float:
    """The probability that a piece of an owner's work is drawn."""
    base = spec.verification.rate_of(work.kind)
    least = deterrence.rate_of(spec, work, ctx.at_risk(spec.payment_token))
    return rate_for(base, _held(s, owner), points_of(s, owner, now), least)


def _held(s: Session, owner: str) -> int:
    """How much of an owner's work was repeated and held."""
    good = (CheckRow.owner == owner, CheckRow.state == "holds", CheckRow.planted.is_(False))
    return s.scalar(select(func.count()).select_from(CheckRow).where(*good)) or 0


def undecided(s: Session, job_id: str, split: str, round_: int) -> bool:
    """Whether the end of a rollout phase must wait for a draw or for votes. Tests of verifiers hold nobody up."""
    waiting = undecided_leases(job_id).where(CheckRow.split == split, CheckRow.round == round_)
    return s.scalar(waiting.limit(1)) is not None


def undecided_leases(job_id: str) -> Select[str]:
    """The job's submissions and trainings that wait for a draw or for votes."""
    undecided = (CheckRow.job_id == job_id, CheckRow.state.in_(UNDECIDED))
    return select(CheckRow.lease_id).where(*undecided, CheckRow.planted.is_(False))


def end_checks(s: Session, job_id: str, now: float) -> None:
    """The job is over. What was drawn and never voted on isn't paid; what no block has decided yet is let go."""
    over = (CheckRow.job_id == job_id, CheckRow.state.in_(UNDECIDED))
    for row in s.scalars(select(CheckRow).where(*over)).all():
        dropped = row.state == "open"
        row.state, row.decided_at = "dropped" if dropped else "spared", now
        if dropped and not row.planted:
            set_aside(s, row, now)
    s.flush()


def disputable(s: Session, job_id: str) -> list[int]:
    """The versions without which a court couldn't judge what failed its check, or a vote that was mistaken: the one
    that the work was made with, and the one that a step led to."""
    failed = and_(CheckRow.state == "failed", CheckRow.planted.is_(False))
    misjudged = CheckRow.number.in_(select(VoteRow.check).where(VoteRow.mistaken))
    rows = s.scalars(select(CheckRow.version).where(CheckRow.job_id == job_id, or_(failed, misjudged)))
    made_with = {PolicyVersion.model_validate_json(row).number for row in rows}
    return sorted(made_with | {number + 1 for number in made_with})


def set_aside(s: Session, check: CheckRow, now: float) -> None:
    """The work isn't paid. A submission's groups are free again, and its traces are kept aside."""
    lease = s.get_one(LeaseRow, check.lease_id)
    end(lease, "refused", now, "it was found bad, or nobody came to repeat it; see the job's checks", "check")
    s.execute(delete(ContributionRow).where(ContributionRow.lease_id == check.lease_id))
    if check.kind == "training":
        return
    for row in s.scalars(select(TraceRow).where(TraceRow.lease_id == check.lease_id)).all():
        s.merge(FailedTraceRow(digest=row.digest, lease_id=row.lease_id, job_id=row.job_id, position=row.position))
        s.delete(row)
    s.get_one(BundleRow, check.lease_id).counts = False


def awaiting(s: Session, head: int) -> list[CheckRow]:
    """Name the block of those that have none: the one after the chain's `head`. Returns those whose block is mined."""
    for row in s.scalars(select(CheckRow).where(CheckRow.state == "waiting", CheckRow.block.is_(None))):
        row.block = head + 1
    mined = (CheckRow.state == "waiting", CheckRow.block <= head)
    return list(s.scalars(select(CheckRow).where(*mined).order_by(CheckRow.number)))


def draw(s: Session, row: CheckRow, block_hash: str, now: float) -> None:
    """What the block's hash decides."""
    row.seed = seed(block_hash, row.traces_root)
    if not is_drawn(row.seed, row.rate):
        row.state, row.decided_at = "spared", now
        return
    most = parse_spec(s.get_one(JobRow, row.job_id).spec).verification.traces
    row.positions = list(positions(row.seed, row.count, most))
    row.state, row.opened_at = "open", now


def votes_on(s: Session, number: int) -> list[VoteRow]:
    """A check's verify leases, the first that was revealed first."""
    rows = select(VoteRow).where(VoteRow.check == number).order_by(VoteRow.revealed_at, VoteRow.lease_id)
    return list(s.scalars(rows))


def voters(rows: Sequence[VoteRow]) -> list[Voter]:
    """What was revealed."""
    return [Voter(row.owner, vote.holds) for row, vote in revealed(rows)]


def revealed(rows: Sequence[VoteRow]) -> list[tuple[VoteRow, Vote]]:
    """The verify leases that brought a vote, and their votes."""
    return [(row, Vote.parse(row.vote)) for row in rows if row.vote is not None]


def offer_check(
    s: Session, ctx: Context, job: JobRow, me: WorkerState, workers: Sequence[WorkerState], now: float
) -> LeaseRow | None:
    """A verify lease for this worker, if one of the job's checks wants its vote."""
    if "verify" not in me.capabilities:
        return None
    rows = select(CheckRow).where(CheckRow.job_id == job.job_id, CheckRow.state == "open").order_by(CheckRow.number)
    for row in s.scalars(rows):
        if _may_vote(s, row, me, workers, now):
            return _lease(s, ctx, job, row, me, now)
    return None


def _may_vote(s: Session, row: CheckRow, me: WorkerState, workers: Sequence[WorkerState], now: float) -> bool:
    """By the order that the draw's seed gives to those that may vote: never the author's owner, nor one that has voted;
    one that gave the task back may be asked again later. Whoever is at work has its place as well, and comes when it is
    done: else hosts that do nothing but vote would be asked first, always. Owners that saw the same work's other copy
    come last, for who holds both knows that one is planted."""
    given = votes_on(s, row.number)
    leases = {lease.lease_id: lease for lease in s.scalars(_leases_of(given))}
    out = [vote for vote in given if leases[vote.lease_id].state == "active"]
    cast = [vote for vote in given if vote.vote is not None]
    lately = [vote for vote in given if (leases[vote.lease_id].ended_at or now) > now - PATIENCE]
    wants = wanted(voters(given)) - len(cast)
    gone = {row.owner} | {vote.owner for vote in (*cast, *lately)}
    able = [
        worker
        for worker in workers
        if "verify" in worker.capabilities
        and worker.owner not in gone
        and (worker.worker == me.worker or not worker.busy or worker.doing is not None)
    ]
    if me.worker not in {worker.worker for worker in able} or len(out) >= wants:
        return False
    seen = _saw_another(s, row)
    order = sorted(able, key=lambda worker: (worker.owner in seen, rank(row.seed or "", worker.worker)))
    since = max([row.opened_at, *(vote.revealed_at for vote in cast if vote.revealed_at is not None)])
    return me.worker in [worker.worker for worker in order[: openings(now - since, wants)]]


def _saw_another(s: Session, row: CheckRow) -> set[str]:
    """Owners that were asked about another copy of the same piece of work."""
    copies = select(CheckRow.number).where(CheckRow.lease_id == row.lease_id, CheckRow.number != row.number)
    return set(s.scalars(select(VoteRow.owner).where(VoteRow.check.in_(copies))))


def _lease(s: Session, ctx: Context, job: JobRow, row: CheckRow, me: WorkerState, now: float) -> LeaseRow:
    task = _recompute(s, row) if row.kind == "training" else _replay(row)
    deadline = verify_deadline(s, ctx, job, me, tokens_to_repeat(s, row), now)
    lease = give(s, ctx, job, me.worker, task, deadline, now)
    s.add(
        VoteRow(
            lease_id=lease.lease_id,
            check=row.number,
            worker=me.worker,
            owner=me.owner,
            tokens=0,
            commitment=None,
            vote=None,
            digest=None,
            signature=None,
            mistaken=False,
            revealed_at=None,
        )
    )
    s.flush()
    return lease


def _replay(row: CheckRow) -> VerifyTask:
    """What a verifier is asked to do about a submission."""
    return VerifyTask(
        split=row.split,  # type: ignore[arg-type]
        round=row.round,
        version=PolicyVersion.model_validate_json(row.version),
        bundle=row.bundle,
        positions=tuple(row.positions),
    )


def _recompute(s: Session, row: CheckRow) -> RecomputeTask:
    """The same about a trainer's statement."""
    train = TrainTask.parse(s.get_one(LeaseRow, row.lease_id).task)
    return RecomputeTask(train=train, worker=row.worker, statement=row.bundle)


def tokens_to_repeat(s: Session, row: CheckRow) -> int:
    """How many completion tokens a drawn piece is, about."""
    if row.kind == "training":
        return _recompute(s, row).slot.tokens
    bundle = s.get_one(BundleRow, row.lease_id)
    return -(-bundle.tokens * len(row.positions) // bundle.traces)


def _leases_of(given: Sequence[VoteRow]) -> Select[LeaseRow]:
    return select(LeaseRow).where(LeaseRow.lease_id.in_([vote.lease_id for vote in given]))

"""From votes to their consequences: what failed leaves its round unpaid, and false votes are answered for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.checks import UNDECIDED, revealed, set_aside, voters, votes_on
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, owned, require_active, require_kind
from r1coordinator.scheduling.standing import charge
from r1coordinator.scheduling.votes import ALONE_AFTER, outcome
from r1coordinator.store.rows import get_job, parse_spec, token_of
from r1coordinator.store.tables import (
    BlobRow,
    CheckRow,
    ContributionRow,
    JobRow,
    LeaseRow,
    ReportRow,
    VoteRow,
    WorkerRow,
)
from r1net.audit.signed import unsigned
from r1net.errors import Refused
from r1net.protocol.evidence import GradientFinding
from r1net.protocol.job import PolicyVersion
from r1net.protocol.signing import Domain
from r1net.protocol.work import RecomputeTask, VerifyTask, Vote, VoteCommitment, VoteReveal

NOBODY = "waiting for hosts of other owners to replay what was drawn"
NOBODY_AFTER = 60.0
"""Seconds after which the job says what it waits for."""


def commit(s: Session, worker: str, commitment: VoteCommitment) -> None:
    """A verifier fixes its vote; the same commitment again changes nothing."""
    lease, row = _verify_lease(s, worker, commitment.lease_id)
    if row.commitment == commitment.commitment:
        return
    require_active(lease)
    if row.commitment is not None:
        raise Refused("committed", "the lease has another commitment already", status=409)
    row.commitment = commitment.commitment


def task_of(s: Session, worker: str, lease_id: str) -> VerifyTask | RecomputeTask:
    """What a verifier was asked."""
    lease = _verify_lease(s, worker, lease_id)[0]
    return (RecomputeTask if lease.kind == "recompute" else VerifyTask).parse(lease.task)


def check_vote(s: Session, domain: Domain, worker: str, shown: VoteReveal) -> VerifyTask | RecomputeTask:
    """What the verifier was asked. Refuses a vote about something else, and one that it has not signed."""
    vote = shown.vote
    lease, task = _verify_lease(s, worker, vote.lease_id)[0], task_of(s, worker, vote.lease_id)
    if (vote.job_id, vote.task) != (lease.job_id, task.digest()):
        raise Refused("wrong_finding", "the vote names another job or task than the lease's", status=422)
    words = unsigned(vote.lease_id, vote.root(), 1, shown.signature, lease.worker, domain)
    if words is not None:
        raise Refused("bad_signature", words, status=422)
    return task


def reveal(s: Session, ctx: Context, worker: str, reveal: VoteReveal, tokens: int, now: float) -> None:
    """A verifier shows its vote, `tokens` of which were to be replayed."""
    lease, row = _verify_lease(s, worker, reveal.vote.lease_id)
    if row.vote is not None:
        return
    require_active(lease)
    if row.commitment != reveal.vote.commitment(reveal.salt):
        raise Refused("wrong_reveal", "the vote is not what was committed to", status=422)
    check = s.get_one(CheckRow, row.check)
    _require_fitting(reveal.vote, check)
    row.vote, row.revealed_at, row.tokens = reveal.vote.canonical().decode(), now, tokens
    row.digest, row.signature = reveal.vote.digest(), reveal.signature
    version = PolicyVersion.model_validate_json(check.version).number
    for name in (row.digest, reveal.vote.task):
        s.merge(BlobRow(job_id=check.job_id, sha256=name, kind="vote", version=version, limit=0, present=True))
    end(lease, "done", now)
    s.flush()
    decide(s, ctx, check, now)


def decide(s: Session, ctx: Context, check: CheckRow, now: float) -> bool:
    """Draw the consequences of what was revealed; whether the check is decided now."""
    if check.state not in UNDECIDED:
        return False
    votes = votes_on(s, check.number)
    found = outcome(voters(votes), now - check.opened_at, alone=_nobody_else(s, check, votes, now))
    if found == "open":
        return False
    check.state, check.decided_at = found, now
    job = get_job(s, check.job_id)
    if job.error is not None and job.error.startswith(NOBODY):
        job.error = None
    if check.planted:
        _pay(s, job, check, votes, holds=False)
        for blind in _blame_voters(s, votes, holds=False, reason="missed_plant", now=now):
            _void(s, job, blind.owner)
    else:
        _conclude(s, job, check, votes, now)
    s.flush()
    advance(s, ctx, job, now)
    return True


def _nobody_else(s: Session, check: CheckRow, votes: Sequence[VoteRow], now: float) -> bool:
    """Whether no host was heard of lately whose owner is neither the author's nor has voted. Where there are only an
    accuser and the accused nobody can tell who of them lies: waiting for long would only stop the round."""
    parties = {check.owner, *(row.owner for row, _ in revealed(votes))}
    heard = select(WorkerRow.worker).where(WorkerRow.owner.not_in(parties), WorkerRow.last_seen > now - ALONE_AFTER)
    return s.scalar(heard.limit(1)) is None


def expire_checks(s: Session, ctx: Context, now: float) -> bool:
    """Give up what nobody comes to confirm; whether there was something."""
    rows = s.scalars(select(CheckRow).where(CheckRow.state == "open")).all()
    decided = [decide(s, ctx, row, now) for row in rows]
    for row, done in zip(rows, decided, strict=True):
        if not done and not row.planted and now - row.opened_at > NOBODY_AFTER:
            job = get_job(s, row.job_id)
            job.error = job.error or f"{NOBODY}: nobody has voted on {row.lease_id} since it was drawn"
    return any(decided)


def _conclude(s: Session, job: JobRow, check: CheckRow, votes: Sequence[VoteRow], now: float) -> None:
    if check.state != "holds":
        set_aside(s, check, now)
    if check.state == "failed":
        charge(s, check.worker, "failed_check", now)
        _forfeit(s, check)
    if check.state == "failed" and _false_version(votes):
        _charge_accomplices(s, check, now)
    if check.state == "dropped":
        return
    holds = check.state == "holds"
    _pay(s, job, check, votes, holds=holds)
    _blame_voters(s, votes, holds=holds, reason="false_vote", now=now)


def _false_version(votes: Sequence[VoteRow]) -> bool:
    """Whether most of those who accuse a trainer say that the version isn't what its step leads to."""
    accusing = [vote.finding for _, vote in revealed(votes) if not vote.holds]
    wrong = [one for one in accusing if isinstance(one, GradientFinding) and not one.version_holds]
    return 2 * len(wrong) > len(accusing)


def _charge_accomplices(s: Session, check: CheckRow, now: float) -> None:
    """Whoever came to a version that its step doesn't lead to has made it up together with the others that did."""
    report = s.get_one(ReportRow, check.lease_id)
    same = (ReportRow.job_id == report.job_id, ReportRow.round == report.round, ReportRow.attempt == report.attempt)
    others = select(ReportRow.worker).where(*same, ReportRow.policy == report.policy, ReportRow.worker != check.worker)
    for worker in s.scalars(others).all():
        charge(s, worker, "failed_check", now)


def _forfeit(s: Session, check: CheckRow) -> None:
    """Whoever cheats loses what it earned of the job since the last closing."""
    open_ = (ContributionRow.job_id == check.job_id, ContributionRow.due_id.is_(None))
    s.execute(delete(ContributionRow).where(*open_, ContributionRow.account == check.owner))


def _pay(s: Session, job: JobRow, check: CheckRow, votes: Sequence[VoteRow], *, holds: bool) -> None:
    """Each verifier that found what was found, for the tokens that it replayed."""
    for row, vote in revealed(votes):
        if vote.holds != holds:
            continue
        s.merge(
            ContributionRow(
                lease_id=row.lease_id,
                job_id=job.job_id,
                kind="verification",
                account=row.owner,
                worker=row.worker,
                round=check.round,
                tokens=row.tokens,
                evidence=check.bundle,
                token=token_of(parse_spec(job.spec)),
            )
        )


def _blame_voters(s: Session, votes: Sequence[VoteRow], *, holds: bool, reason: str, now: float) -> list[VoteRow]:
    """Charge those that found something else; returns their votes."""
    wrong = [row for row, vote in revealed(votes) if vote.holds != holds]
    for row in wrong:
        row.mistaken = True
        charge(s, row.worker, reason, now)
    return wrong


def _void(s: Session, job: JobRow, owner: str) -> None:
    """Whoever doesn't look isn't paid for having looked, and what it alone has cleared in a round that still goes on
    is open again."""
    pay = (ContributionRow.job_id == job.job_id, ContributionRow.account == owner, ContributionRow.due_id.is_(None))
    s.execute(delete(ContributionRow).where(*pay, ContributionRow.kind == "verification"))
    if job.phase != "rollout":
        return
    cleared = select(CheckRow).where(
        CheckRow.job_id == job.job_id,
        CheckRow.kind == "rollout",
        CheckRow.split == "train",
        CheckRow.round == job.round,
        CheckRow.state == "holds",
        CheckRow.planted.is_(False),
    )
    for check in s.scalars(cleared).all():
        cast = [vote for vote in votes_on(s, check.number) if vote.vote is not None]
        if {vote.owner for vote in cast} == {owner}:
            check.state, check.decided_at = "open", None
            for vote in cast:
                vote.vote = vote.digest = vote.signature = vote.revealed_at = None
    s.flush()


def _verify_lease(s: Session, worker: str, lease_id: str) -> tuple[LeaseRow, VoteRow]:
    lease = owned(s, lease_id, worker)
    require_kind(lease, "verify", "recompute")
    return lease, s.get_one(VoteRow, lease_id)


def _require_fitting(vote: Vote, check: CheckRow) -> None:
    finding = vote.finding
    fits = check.kind == "training" if isinstance(finding, GradientFinding) else finding.traces == len(check.positions)
    if finding.worker.lower() != check.worker.lower() or not fits:
        raise Refused("wrong_finding", "the finding is about other work than the lease's", status=422)
    if not set(vote.bad) <= set(check.positions):
        raise Refused("wrong_finding", "a position is none of the lease's", status=422)

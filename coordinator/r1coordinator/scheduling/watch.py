"""Jobs whose escrows can no longer pay stop giving out work. Asks the chain, so it runs apart from the requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
from r1coordinator.scheduling import holds
from r1coordinator.scheduling.advance import fail
from r1coordinator.scheduling.context import Context
from r1coordinator.settlement.close import close_due
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import ContributionRow, JobRow
from r1net.chain import JobState
from r1net.errors import ChainError, ChainUnavailable
from r1net.protocol.pricing import Work, asked

log = logging.getLogger("r1coordinator")

_ALIVE = ("running", "waiting_for_model")


@dataclass(frozen=True)
class Owed:
    """What a job's accepted work comes to by its price list: `closed` in dues, `open` since the last closing."""

    closed: int
    open: int


@dataclass(frozen=True)
class Verdict:
    """Why a job stops, or None; whether what it owes fills an epoch, so that it is closed early; whether it has spent
    what it may."""

    fault: str | None = None
    full: bool = False
    spent: bool = False


_GOES_ON = Verdict()


def watch_funding(db: Database, ctx: Context, chain: ChainPort, depth: int, clock: Callable[[], float]) -> bool:
    """Look at the escrow of every job that isn't over; whether a job was stopped. Raises ChainUnavailable."""
    with db.read() as s:
        jobs = list(s.scalars(select(JobRow.job_id).where(JobRow.state.in_(_ALIVE)).order_by(JobRow.number)))
    stopped = False
    for job_id in jobs:
        account = _account(chain, job_id, depth)
        with db.read() as s:
            quiet = _quiet(s, ctx, get_job(s, job_id), account, clock())
        if not quiet:
            with db.write() as s:
                stopped = _act(s, ctx, get_job(s, job_id), account, clock()) or stopped
    return stopped


def _account(chain: ChainPort, job_id: str, depth: int) -> JobState | ChainError:
    """The job's account, or why there is none: neither in the newest block nor in one that is deep enough."""
    try:
        return chain.job(job_id)
    except ChainUnavailable:
        raise
    except ChainError as error:
        if depth == 0:
            return error
    try:
        return chain.job(job_id, depth)
    except ChainUnavailable:
        raise
    except ChainError as error:
        return error


def _verdict(s: Session, ctx: Context, job: JobRow, account: JobState | ChainError, now: float) -> Verdict:
    if job.state not in _ALIVE:
        return _GOES_ON
    if isinstance(account, ChainError):
        return Verdict(f"the escrow doesn't know it: {account.message}")
    owed = owed_by(s, job)
    # an epoch's cap must not cut what is earned later
    full = job.epoch_cap < job.budget - owed.closed and 2 * owed.open >= job.epoch_cap
    spent = job.held == holds.SPENT or 0 < job.budget <= owed.closed + owed.open
    fault = fault_of(account, Owed(0, 0) if spent else owed)
    if fault is None and spent and job.held == holds.SPENT and now > job.held_at + ctx.settings.top_up_seconds:
        fault = f"its budget of {job.budget} is spent"
    return Verdict(fault, full, spent)


def _quiet(s: Session, ctx: Context, job: JobRow, account: JobState | ChainError, now: float) -> bool:
    """Whether all is as it was."""
    if isinstance(account, JobState) and holds.topped_up(job, account):
        return False
    verdict = _verdict(s, ctx, job, account, now)
    return verdict == Verdict(spent=job.held == holds.SPENT)


def _act(s: Session, ctx: Context, job: JobRow, account: JobState | ChainError, now: float) -> bool:
    if isinstance(account, JobState):
        holds.note_funds(job, account)
    verdict = _verdict(s, ctx, job, account, now)
    if verdict.spent and verdict.fault is None:
        holds.spend(s, job, now)
    if verdict.fault is not None:
        closed = isinstance(account, JobState) and account.closed_at != 0
        fail(s, ctx, job, now, verdict.fault, cancelled=closed)
        log.warning("job %s is stopped: %s", job.job_id, verdict.fault)
    elif verdict.full:
        close_due(s, job, now)
    return verdict.fault is not None


def fault_of(account: JobState, owed: Owed) -> str | None:
    """Why a job's money is not good for more work; None when it is."""
    total = owed.closed + owed.open
    if account.closed_at:
        return "its submitter has closed its escrow"
    if account.funded - account.refunded < total:
        return f"its escrow was given {account.funded - account.refunded}, and {total} is owed"
    if owed.open > account.epoch_cap:
        return f"{owed.open} is owed, and its escrow pays at most {account.epoch_cap} in one epoch"
    return None


def owed_by(s: Session, job: JobRow) -> Owed:
    """What the job's accepted work comes to."""
    prices = parse_spec(job.spec).prices
    columns = (ContributionRow.kind, ContributionRow.tokens, ContributionRow.amount)
    closed = open_ = 0
    for kind, tokens, amount in s.execute(select(*columns).where(ContributionRow.job_id == job.job_id)):
        if amount is None:
            open_ += asked(Work(kind, tokens), prices)
        else:
            closed += amount
    return Owed(closed, open_)

"""Jobs whose escrows can no longer pay stop giving out work. Asks the chain, so it runs apart from the requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
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
    """Why a job stops, or None; and whether what it owes fills an epoch, so that it is closed early."""

    fault: str | None = None
    full: bool = False


_GOES_ON = Verdict()


def watch_funding(db: Database, ctx: Context, chain: ChainPort, depth: int, clock: Callable[[], float]) -> bool:
    """Look at the escrow of every job that isn't over; whether a job was stopped. Raises ChainUnavailable."""
    with db.read() as s:
        jobs = list(s.scalars(select(JobRow.job_id).where(JobRow.state.in_(_ALIVE)).order_by(JobRow.number)))
    stopped = False
    for job_id in jobs:
        account = _account(chain, job_id, depth)
        with db.read() as s:
            quiet = _verdict(s, get_job(s, job_id), account) == _GOES_ON
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


def _verdict(s: Session, job: JobRow, account: JobState | ChainError) -> Verdict:
    if job.state not in _ALIVE:
        return _GOES_ON
    if isinstance(account, ChainError):
        return Verdict(f"the escrow doesn't know it: {account.message}")
    owed, budget = owed_by(s, job), parse_spec(job.spec).budget
    # an epoch's cap must not cut what is earned later
    full = job.epoch_cap < budget - owed.closed and 2 * owed.open >= job.epoch_cap
    return Verdict(fault_of(account, owed, budget), full)


def _act(s: Session, ctx: Context, job: JobRow, account: JobState | ChainError, now: float) -> bool:
    verdict = _verdict(s, job, account)
    if verdict.fault is not None:
        closed = isinstance(account, JobState) and account.closed_at != 0
        fail(s, ctx, job, now, verdict.fault, cancelled=closed)
        log.warning("job %s is stopped: %s", job.job_id, verdict.fault)
    elif verdict.full:
        close_due(s, job, now)
    return verdict.fault is not None


def fault_of(account: JobState, owed: Owed, budget: int) -> str | None:
    """Why a job's money is not good for more work; None when it is."""
    total = owed.closed + owed.open
    if account.closed_at:
        return "its submitter has closed its escrow"
    if 0 < budget <= total:
        return f"its budget of {budget} is spent"
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

"""Jobs that give out no new work for a while: paused by their submitters, or out of money until they get more."""

from __future__ import annotations

from sqlalchemy.orm import Session

from r1coordinator.settlement.close import close_due
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import JobRow
from r1net.chain import JobState
from r1net.errors import ProtocolError, Refused
from r1net.protocol.signing import Domain, steering_values
from r1net.protocol.steering import STEERING_LIFETIME, SignedSteering

PAUSED, SPENT = "paused", "spent"


def steer(s: Session, domain: Domain, job_id: str, signed: SignedSteering, now: float) -> None:
    """Pause or resume a job, as its submitter signs. Raises Refused.

    What hosts have in hand they finish and are paid for. A signature counts once: none that is older than the last.
    """
    job, steering = get_job(s, job_id), signed.steering
    try:
        signer = domain.signer("Steering", steering_values(steering), signed.signature)
    except ProtocolError as error:
        raise Refused("bad_steering_signature", error.message, status=401) from error
    if steering.job_id != job_id or signer.lower() != parse_spec(job.spec).submitter.lower():
        raise Refused("bad_steering_signature", f"signed by {signer}, not by the job's submitter", status=401)
    issued = steering.issued / 1000
    if abs(now - issued) > STEERING_LIFETIME or issued <= job.steered_at:
        raise Refused("stale_steering", "the signature is too old, or was used", status=409, hint="sign again")
    if job.state != "running":
        raise Refused("not_running", f"the job is {job.state}", status=409)
    job.steered_at = issued
    if steering.action == "pause" and job.held is None:
        hold(job, PAUSED, now)
    elif steering.action == "resume" and job.held == PAUSED:
        release(job)


def hold(job: JobRow, why: str, now: float) -> None:
    """Give out no new work. Being out of money goes before being paused."""
    if job.held != why:
        job.held, job.held_at = why, now


def release(job: JobRow) -> None:
    """Give out work again."""
    job.held = None


def topped_up(job: JobRow, account: JobState) -> bool:
    """Whether the escrow has got more than was taken note of."""
    return _budget(job, account) > job.budget


def note_funds(job: JobRow, account: JobState) -> None:
    """What was put in since the job began may be spent beside its budget: who waited for it goes on."""
    if topped_up(job, account):
        job.budget = _budget(job, account)
        if job.held == SPENT:
            release(job)


def _budget(job: JobRow, account: JobState) -> int:
    return parse_spec(job.spec).budget + max(0, account.funded - job.funded)


def spend(s: Session, job: JobRow, now: float) -> None:
    """The budget is spent: who worked for it is paid, and the job waits for more."""
    if job.held != SPENT:
        hold(job, SPENT, now)
        close_due(s, job, now)

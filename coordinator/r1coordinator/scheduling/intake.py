"""New jobs: checked against the chain, started when their model is here."""

from __future__ import annotations

import logging

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from r1coordinator.chain import ChainPort
from r1coordinator.scheduling.advance import advance, start
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.rollout import group_bytes
from r1coordinator.settings import Settings
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.database import Database
from r1coordinator.store.rows import get_job, job_view, parse_spec
from r1coordinator.store.tables import BlobRow, JobRow
from r1coordinator.verification.scorers import Scorers
from r1net.amounts import about
from r1net.chain import JobState
from r1net.deterrence import odds
from r1net.errors import ChainError, ChainUnavailable, Refused, UsageError
from r1net.jobs.validate import faults
from r1net.protocol.job import JobSpec, JobView, SubmitJob
from r1net.sandbox import SandboxFailed

_SPEC_BYTES = 2**16
"""Every view of a job carries its specification."""

log = logging.getLogger("r1coordinator")


def check_terms(ctx: Context, spec: JobSpec) -> None:
    """Refuse what can be refused of a job from its specification alone, by the rules that its submitter's machine
    applied too, and by this service's own limits: whoever asks before paying is told the same as afterwards."""
    _check_sizes(spec, ctx.settings)
    for code, error in faults(spec, ctx.is_r1(spec.payment_token)):
        raise Refused(code, error.message, status=422, hint=error.hint) from error
    check_deterrence(ctx, spec)


def check_environment(spec: JobSpec, scorers: Scorers) -> None:
    """Refuse a job whose environment makes no problems. What needs the model's files is checked once they are here."""
    try:
        scorers.examine(spec)
    except UsageError as error:
        raise Refused("bad_environment", error.message, status=422, hint=error.hint) from error


def _check_sizes(spec: JobSpec, settings: Settings) -> None:
    limit = settings.max_blob_bytes
    for name, file in spec.model.files.items():
        if file.size > limit:
            raise Refused(
                "blob_too_large",
                f"{name} has {file.size} bytes; at most {limit} are taken",
                status=413,
                hint="save the weights in smaller shards: save_pretrained(…, max_shard_size=…)",
            )
    if any(size > limit for size in spec.files.values()):
        raise Refused("blob_too_large", f"a file of rows or of code has more than {limit} bytes", status=413)
    whole = sum(spec.files.values())
    if whole > settings.max_model_bytes:
        most = settings.max_model_bytes
        raise Refused("model_too_large", f"the job's files have {whole} bytes; at most {most} are taken", status=413)
    if len(spec.canonical()) > _SPEC_BYTES:
        raise Refused("spec_too_large", f"a specification may have {_SPEC_BYTES} bytes", status=413)
    group = group_bytes(spec.stage.group_size, spec.sampling.max_tokens)
    if max(group, group_bytes(1, spec.evaluation.sampling.max_tokens)) > settings.max_body_bytes:
        raise Refused(
            "group_too_large",
            f"a group of {spec.stage.group_size} completions does not fit into one submission",
            status=422,
            hint="make the groups or the completions smaller",
        )


def check_funding(chain: ChainPort, job_id: str, spec: JobSpec) -> JobState:
    """Refuse a job that the escrow doesn't stand for; returns its account."""
    try:
        account = chain.job(job_id)
    except ChainUnavailable:
        raise
    except ChainError as error:
        raise Refused(
            "unfunded_job", f"the escrow has no job {job_id}: {error.message}", status=402, hint="fund the job first"
        ) from error
    faults = {
        "it is closed": account.closed_at != 0,
        "its spec digest is another": account.spec_digest.lower() != spec.digest(),
        "its submitter is another": account.submitter.lower() != spec.submitter.lower(),
        "it pays in another token": account.token.lower() != spec.payment_token.lower(),
        "it holds less than the budget": account.funded < spec.budget,
    }
    for words, found in faults.items():
        if found:
            raise Refused("unfunded_job", f"the escrow's job does not fit: {words}", status=402)
    epochs = -(-spec.stage.rounds // spec.epoch_rounds)
    if account.epoch_cap * epochs < spec.budget:
        raise Refused(
            "cap_too_low",
            f"{epochs} epochs of at most {account.epoch_cap} each can't pay the budget of {spec.budget}",
            status=402,
            hint="create the job in the escrow with a higher cap, or specify shorter epochs or a smaller budget",
        )
    return account


def check_deterrence(ctx: Context, spec: JobSpec) -> None:
    """Refuse a job in which a lie pays that its checks can see: its pieces of work are worth too much for the stakes.
    What nobody can compare, or nobody checks, is its submitter's to judge."""
    at_risk = ctx.at_risk(spec.payment_token)
    if at_risk == 0 or spec.verification.rate == 0:
        return
    for one in odds(spec, spec.payment_token, at_risk):
        if one.cheat.caught and one.pays:
            wins = "" if one.profit is None else f"it would win {about(one.profit)} on average, against "
            raise Refused(
                "cheating_pays",
                f"{one.cheat.name}: {wins or 'nothing would find it, for all of '}{about(at_risk)} at stake",
                status=422,
                hint="lower the prices, or make rounds or completions smaller",
            )


def known_job(s: Session, request: SubmitJob) -> JobView | None:
    """The view of a job that was submitted before."""
    row = s.get(JobRow, request.job_id)
    if row is None:
        return None
    if row.spec_digest != request.spec.digest():
        raise Refused("job_exists", "the job exists with another specification", status=409)
    return job_view(s, row)


def add_job(s: Session, blobs: BlobStore, request: SubmitJob, account: JobState, now: float) -> JobRow:
    """A new job that waits for its model."""
    spec = request.spec
    model = spec.model.digest()
    row = JobRow(
        job_id=request.job_id,
        number=(s.scalar(select(func.max(JobRow.number))) or 0) + 1,
        spec=spec.model_dump_json(),
        spec_digest=spec.digest(),
        state="waiting_for_model",
        phase="evaluate_first",
        round=0,
        attempt=0,
        version_number=0,
        version_policy=model,
        version_optimizer=None,
        created_at=now,
        round_started_at=now,
        epoch_cap=account.epoch_cap,
        budget=spec.budget,
        funded=account.funded,
        held=None,
        held_at=0.0,
        steered_at=0.0,
        settled_round=0,
        settled_policy=model,
        error=None,
        suspicion={},
    )
    s.add(row)
    for digest, size in spec.files.items():
        s.add(
            BlobRow(
                job_id=request.job_id, sha256=digest, kind="model", version=0, limit=size, present=blobs.has(digest)
            )
        )
    s.flush()
    return row


def waiting_jobs(s: Session, sha256: str | None = None) -> list[JobRow]:
    """The jobs whose model has come (with `sha256`: which that file is part of), but which haven't started."""
    missing = select(BlobRow.job_id).where(BlobRow.kind == "model", BlobRow.present.is_(False))
    query = select(JobRow).where(JobRow.state == "waiting_for_model", JobRow.job_id.not_in(missing))
    if sha256 is not None:
        query = query.where(JobRow.job_id.in_(select(BlobRow.job_id).where(BlobRow.sha256 == sha256)))
    return list(s.scalars(query))


def start_waiting(db: Database, ctx: Context, scorers: Scorers, now: float, sha256: str | None = None) -> bool:
    """Check the models that have come and start their jobs; whether a job moved. Loads outside transactions. With
    `sha256` only the jobs that waited for this file.

    A job that can't be checked now (SandboxFailed) waits for the next turn.
    """
    with db.read() as s:
        waiting = waiting_jobs(s, sha256)
    for seen in waiting:
        fault: str | None = None
        try:
            scorers.check(seen.job_id, parse_spec(seen.spec))
        except SandboxFailed as error:
            log.warning("job %s waits for its check: %s", seen.job_id, error)
            continue
        except UsageError as error:
            fault = error.message
        except OSError as error:
            fault = f"a file of the model can't be read: {error.strerror}"
        with db.write() as s:
            job = get_job(s, seen.job_id)
            if job.state != "waiting_for_model":
                continue
            if fault is not None:
                job.state, job.error = "failed", f"its files don't fit the job: {fault}"
            else:
                start(job, now)
                advance(s, ctx, job, now)
    return bool(waiting)


def submit(
    db: Database, ctx: Context, blobs: BlobStore, scorers: Scorers, chain: ChainPort, request: SubmitJob, now: float
) -> JobView:
    """Take a job in; the same job again brings its view."""
    with db.read() as s:
        known = known_job(s, request)
    if known is not None:
        return known
    check_terms(ctx, request.spec)
    account = check_funding(chain, request.job_id, request.spec)
    check_environment(request.spec, scorers)
    with db.write() as s:
        if s.get(JobRow, request.job_id) is None:
            add_job(s, blobs, request, account, now)
    start_waiting(db, ctx, scorers, now)
    with db.read() as s:
        return job_view(s, get_job(s, request.job_id))

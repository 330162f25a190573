"""What submitters and onlookers ask about jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.bodies import SMALL
from r1coordinator.api.limits import caller_address
from r1coordinator.api.wire import Number, Use, message
from r1coordinator.bell import poll
from r1coordinator.scheduling import holds, intake
from r1coordinator.scheduling.gradients import commitments
from r1coordinator.scheduling.mixes import read_mix
from r1coordinator.scheduling.publishing import publish_orders
from r1coordinator.services import Services
from r1coordinator.store.rows import get_job, job_view
from r1coordinator.store.tables import AttemptRow, EvaluationRow, JobRow, RoundRow
from r1net.errors import Refused
from r1net.protocol.job import JobSpec, JobView, SubmitJob
from r1net.protocol.steering import SignedSteering
from r1net.protocol.views import EvaluationRecord, RoundMix, RoundPage, RoundRecord
from r1net.protocol.work import AttemptOutcome, PublishOrder, PublishTask

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Wait = Annotated[float, Query(ge=0, le=30)]
After = Annotated[int, Query(ge=-1, lt=2**31)]
_OVER = ("completed", "failed", "cancelled")
_PAGE = 1000
_MOST_JOBS = 100
_BEAT = 5.0


@router.post("")
async def post_job(
    services: Use, http: Request, request: Annotated[SubmitJob, Depends(message(SubmitJob, SMALL))]
) -> JobView:
    """Submit a job that the escrow stands for; the same job again brings its view."""
    with services.limits.jobs.hold(caller_address(http.scope)):
        known = await run_in_threadpool(_known, services, request)
        if known is not None:
            return known
        key = (request.job_id, request.spec.digest())
        view = await services.submissions.get(key, lambda: _submit(services, request))
    services.bell.ring()
    return view


@router.post("/check", status_code=204)
async def check_job(services: Use, http: Request, spec: Annotated[JobSpec, Depends(message(JobSpec, SMALL))]) -> None:
    """Whether a job would be taken, before anything is paid for it: by its specification and this service's limits.
    Whether its environment makes problems is tried once it is funded."""
    with services.limits.jobs.hold(caller_address(http.scope)):
        await run_in_threadpool(intake.check_terms, services.ctx, spec)


def _known(services: Services, request: SubmitJob) -> JobView | None:
    with services.db.read() as s:
        return intake.known_job(s, request)


def _submit(services: Services, request: SubmitJob) -> JobView:
    return intake.submit(
        services.db, services.ctx, services.blobs, services.scorers, services.chain, request, services.clock()
    )


@router.get("")
def get_jobs(
    services: Use,
    limit: Annotated[int, Query(ge=1, le=_MOST_JOBS)] = _MOST_JOBS,
    after: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
) -> list[JobView]:
    """Jobs in the order of their submission. Without `after` the newest ones; `after=N` leaves the first N out."""
    with services.db.read() as s:
        if after is None:
            rows = list(s.scalars(select(JobRow).order_by(JobRow.number.desc()).limit(limit)))[::-1]
        else:
            rows = list(s.scalars(select(JobRow).order_by(JobRow.number).offset(after).limit(limit)))
        return [job_view(s, row) for row in rows]


@router.get("/{job_id}")
def get_one_job(job_id: str, services: Use) -> JobView:
    """One job."""
    with services.db.read() as s:
        return job_view(s, get_job(s, job_id))


def _rounds(services: Services, job_id: str, after: int) -> RoundPage:
    with services.db.read() as s:
        job = get_job(s, job_id)
        rows = s.scalars(
            select(RoundRow.record)
            .where(RoundRow.job_id == job_id, RoundRow.round > after)
            .order_by(RoundRow.round)
            .limit(_PAGE)
        )
        records = tuple(RoundRecord.parse(row) for row in rows)
        return RoundPage(rounds=records, state=job.state, phase=job.phase, error=job.error)


@router.get("/{job_id}/rounds")
async def get_rounds(job_id: str, services: Use, request: Request, after: After = -1, wait: Wait = 0.0) -> RoundPage:
    """The finished rounds with a number above `after`; held for `wait` seconds until there is one or the job ends."""
    with services.limits.polls.hold(caller_address(request.scope)):
        return await poll(
            services.bell,
            lambda: _rounds(services, job_id, after),
            lambda page: bool(page.rounds) or page.state in _OVER,
            wait,
            _BEAT,
            request.is_disconnected,
        )


@router.post("/{job_id}/steering")
async def post_steering(
    job_id: str, services: Use, http: Request, body: Annotated[SignedSteering, Depends(message(SignedSteering, SMALL))]
) -> JobView:
    """Pause or resume a job, as its submitter signs; its view."""
    services.limits.unsigned.take(caller_address(http.scope))
    view = await run_in_threadpool(_steer, services, job_id, body)
    services.bell.ring()
    return view


def _steer(services: Services, job_id: str, signed: SignedSteering) -> JobView:
    with services.db.write() as s:
        holds.steer(s, services.domain, job_id, signed, services.clock())
        return job_view(s, get_job(s, job_id))


@router.get("/{job_id}/evaluations")
def get_evaluations(job_id: str, services: Use) -> list[EvaluationRecord]:
    """Held-out results, by version."""
    with services.db.read() as s:
        get_job(s, job_id)
        rows = s.scalars(
            select(EvaluationRow.record).where(EvaluationRow.job_id == job_id).order_by(EvaluationRow.version)
        )
        return [EvaluationRecord.parse(row) for row in rows]


@router.get("/{job_id}/mix/{round_}")
def get_mix(job_id: str, round_: Number, services: Use) -> RoundMix:
    """What the groups of a round are drawn with, once it has opened: only of jobs with a curriculum."""
    return RoundMix(job_id=job_id, round=round_, weights=read_mix(services.db, job_id, round_))


def _outcome(services: Services, job_id: str, round_: int, attempt: int) -> AttemptOutcome:
    with services.db.read() as s:
        row = s.get(AttemptRow, (job_id, round_, attempt))
        if row is None:
            raise Refused("unknown_attempt", f"round {round_} has no attempt {attempt}", status=404)
        if row.state == "abandoned":
            return AttemptOutcome(state="abandoned", reason=row.reason)
        if row.state == "agreed":
            record = RoundRecord.parse(s.get_one(RoundRow, (job_id, round_)).record)
            return AttemptOutcome(state="agreed", version=record.version)
        job = get_job(s, job_id)
        if job.state in _OVER:
            return AttemptOutcome(state="abandoned", reason=f"the job is {job.state}")
        orders = publish_orders(s, row) if row.state == "publishing" else []
        return AttemptOutcome(
            state="pending",
            commitments=commitments(s, row),
            seed=row.seed,
            publish=tuple(
                PublishOrder(worker=order.worker, lease_id=order.lease_id, salt=PublishTask.parse(order.task).salt)
                for order in orders
            ),
        )


@router.get("/{job_id}/rounds/{round_}/attempts/{attempt}/outcome")
async def get_outcome(
    job_id: str,
    round_: Number,
    attempt: Number,
    services: Use,
    request: Request,
    wait: Wait = 0.0,
    known: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> AttemptOutcome:
    """How a training attempt ended; held for `wait` seconds while it is pending and there is no more news
    than the `known` one (`AttemptOutcome.news`)."""
    with services.limits.polls.hold(caller_address(request.scope)):
        return await poll(
            services.bell,
            lambda: _outcome(services, job_id, round_, attempt),
            lambda outcome: outcome.state != "pending" or outcome.news > known,
            wait,
            _BEAT,
            request.is_disconnected,
        )

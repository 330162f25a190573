"""What nodes call: sessions, work, leases."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from eth_keys.datatypes import PublicKey
from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.limits import caller_address
from r1coordinator.api.wire import Caller, Node, Use, message, read_message, require_same_lease
from r1coordinator.bell import poll
from r1coordinator.registrations import Registration
from r1coordinator.scheduling import leases, publishing, reports
from r1coordinator.scheduling.dials import check_reach, orders_for, reach_of
from r1coordinator.scheduling.offers import offer
from r1coordinator.scheduling.quarantine import JOB_FAULT, look_for_fault
from r1coordinator.scheduling.shield import advance_all
from r1coordinator.scheduling.slots import has_room
from r1coordinator.services import Services, new_id
from r1coordinator.store.tables import JobRow, LeaseRow
from r1coordinator.store.workers import left, live_of, open_session
from r1net.chain import peer_id_of
from r1net.errors import ProtocolError, Refused
from r1net.protocol.addresses import check_addresses
from r1net.protocol.reach import ReachState
from r1net.protocol.session import OpenSession, SessionGrant, SessionOpened, maddrs_digest
from r1net.protocol.signing import session_values
from r1net.protocol.trace import RolloutSubmission
from r1net.protocol.work import (
    HeartbeatAnswer,
    LeaseFailure,
    PossessionProof,
    Receipt,
    TrainReport,
    WorkAnswer,
    WorkRequest,
)

router = APIRouter(prefix="/v1", tags=["nodes"])


_LARGEST_GRANT = 16 * 2**10
"""Bytes of a grant with all that it announces."""


def check_grant(services: Services, request: OpenSession, now: float) -> OpenSession:
    """Refuse a grant that the worker didn't sign, or not for this; addresses checksummed. The registry isn't asked."""
    grant = request.grant
    if not now < grant.expires <= now + services.settings.session_max_seconds:
        most = f"{services.settings.session_max_seconds:g} s"
        raise Refused("bad_expiry", f"the grant must expire within {most} from now", status=422, hint="set the clock")
    try:
        check_addresses(request.maddrs, grant.peer_id)
    except ProtocolError as error:
        raise Refused("bad_address", error.message, status=422, hint="announce what peers can dial") from error
    if grant.maddrs != maddrs_digest(request.maddrs):
        raise Refused("wrong_maddrs", "the grant was signed for other addresses", status=422, hint="sign a new one")
    try:
        public = services.domain.public_key("Session", session_values(grant), request.signature)
    except ProtocolError as error:
        raise Refused("bad_signature_grant", error.message, status=401) from error
    signer = PublicKey(public).to_checksum_address()
    if signer.lower() != grant.worker.lower():
        raise Refused("bad_signature_grant", f"signed by {signer}, not by the worker {grant.worker}", status=401)
    if grant.peer_id != peer_id_of(public):
        raise Refused("wrong_peer_id", f"the worker key's peer id is {peer_id_of(public)}", status=422)
    checked = grant.model_copy(update={"worker": signer, "owner": to_checksum_address(grant.owner)})
    return request.model_copy(update={"grant": checked})


def require_registered(grant: SessionGrant, found: Registration) -> None:
    """Refuse a grant whose owner the registry doesn't know."""
    fault = found.fault(grant.owner)
    if fault is None:
        return
    if found.owner is None or found.owner.lower() != grant.owner.lower():
        raise Refused("not_bound", fault, status=403, hint="bind it with `r1node init`")
    raise Refused("inactive_owner", fault, status=403, hint="stake and register")


def _require_room(s: Session, services: Services, grant: SessionGrant, slots: int, now: float) -> None:
    live = live_of(s, grant.owner, now - services.settings.lost_after_seconds)
    if not has_room(live, grant.worker, slots):
        words = f"{grant.owner} has {len(live)} active workers, and its stake is good for {slots}"
        raise Refused("too_many_workers", words, status=403, hint="add stake, or stop another worker")


@router.post("/sessions")
async def post_session(
    services: Use, http: Request, request: Annotated[OpenSession, Depends(message(OpenSession, _LARGEST_GRANT))]
) -> SessionOpened:
    """Open a session. An older one of the same worker ends, and so do its leases: it has restarted."""
    now = services.clock()
    with services.limits.grants.hold(caller_address(http.scope)):
        checked = await to_thread.run_sync(check_grant, services, request, now, limiter=services.limits.checking)
        found = await services.registrations.look(checked.grant.worker)
        require_registered(checked.grant, found)
        session_id = await run_in_threadpool(_open, services, checked, found.slots, now)
    services.bell.ring()
    return SessionOpened(session_id=session_id, expires=checked.grant.expires)


def _open(services: Services, checked: OpenSession, slots: int, now: float) -> str:
    session_id = new_id()
    with services.db.write() as s:
        _require_room(s, services, checked.grant, slots, now)
        open_session(s, checked, session_id, now, slots)
        lost = leases.revoke_worker(s, checked.grant.worker, now, "the worker opened a new session")
        check_reach(s, services.ctx, now)
        _advance_jobs(s, services, lost, now)
    return session_id


def _advance_jobs(s: Session, services: Services, ended: list[LeaseRow], now: float) -> None:
    s.flush()
    jobs = s.scalars(select(JobRow).where(JobRow.job_id.in_({row.job_id for row in ended}))).all()
    advance_all(s, services.ctx, jobs, now)


@router.post("/work")
async def post_work(request: Request, services: Use, node: Node) -> WorkAnswer:
    """Ask for work; held for up to `wait` seconds when there is neither work nor other news."""
    asked = await run_in_threadpool(read_message, WorkRequest, node.body)

    def look() -> WorkAnswer:
        with services.db.write() as s:
            return offer(s, services.ctx, node.worker, asked, services.clock()).model_copy(
                update={"dials": orders_for(s, node.worker), "reach": reach_of(s, node.worker)}
            )

    states: set[ReachState | None] = set()

    def worth_telling(answer: WorkAnswer) -> bool:
        states.add(answer.reach.state if answer.reach is not None else None)
        return answer.lease is not None or bool(answer.dials) or len(states) > 1

    beat = services.settings.heartbeat_seconds / 2
    with services.limits.waits.hold(node.worker):
        return await poll(services.bell, look, worth_telling, asked.wait, beat, request.is_disconnected)


@router.post("/leave", status_code=204)
def post_leave(services: Use, node: Node) -> None:
    """The worker leaves: what it still holds is free again at once, and no round waits for it. It may come back at any
    time."""
    now = services.clock()
    with services.db.write() as s:
        lost = leases.revoke_worker(s, node.worker, now, "the worker has left")
        left(s, node.worker, now - services.settings.lost_after_seconds - 1)
        _advance_jobs(s, services, lost, now)
    services.bell.ring()


@router.post("/leases/{lease_id}/heartbeat")
def post_heartbeat(lease_id: str, services: Use, node: Node) -> HeartbeatAnswer:
    """Keep a lease alive."""
    with services.db.write() as s:
        kept = leases.heartbeat(s, services.settings, lease_id, node.worker, services.clock())
        return kept.model_copy(update={"dials": orders_for(s, node.worker)})


@router.post("/leases/{lease_id}/rollout")
async def post_rollout(lease_id: str, services: Use, node: Node) -> Receipt:
    """Submit a signed bundle."""
    return await to_thread.run_sync(_submit, services, node, lease_id, limiter=services.limits.scoring)


def _submit(services: Services, node: Caller, lease_id: str) -> Receipt:
    submission = read_message(RolloutSubmission, node.body)
    return services.admission.submit(node.worker, lease_id, submission, services.clock())


@router.post("/leases/{lease_id}/train", status_code=202)
def post_train(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Report the version that a training step came to; the outcome is asked for at the attempt."""
    report = read_message(TrainReport, node.body)
    require_same_lease(lease_id, report.lease_id)
    with services.db.write() as s:
        reports.trained(s, services.ctx, node.worker, report, services.clock())
    services.bell.ring()
    return {}


@router.post("/leases/{lease_id}/published")
async def post_published(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """The version's files are uploaded."""
    await to_thread.run_sync(_published, services, node.worker, lease_id, limiter=services.limits.scoring)
    services.bell.ring()
    return {}


def _published(services: Services, worker: str, lease_id: str) -> None:
    with services.db.read() as s:
        lease = reports.publish_lease(s, worker, lease_id, proof=False)
        names, salts = publishing.look(s, lease)
    evidence = publishing.gather(services.blobs, names, salts if lease.state == "active" else [])
    missing = [name for name in names if not services.blobs.has(name)]
    with services.db.write() as s:
        obsolete = reports.published(s, services.ctx, worker, lease_id, evidence, missing, services.clock())
    for digest in obsolete:
        services.blobs.remove(digest)


@router.post("/leases/{lease_id}/possession")
async def post_possession(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Prove that one holds the files of a version: their digests behind a salt that the lease names."""
    proof = read_message(PossessionProof, node.body)
    require_same_lease(lease_id, proof.lease_id)
    await to_thread.run_sync(_possessed, services, node.worker, proof, limiter=services.limits.scoring)
    services.bell.ring()
    return {}


def _possessed(services: Services, worker: str, proof: PossessionProof) -> None:
    with services.db.read() as s:
        lease = reports.publish_lease(s, worker, proof.lease_id, proof=True)
        names, salts = publishing.look(s, lease)
    if lease.state != "active":
        salts = []
    while True:
        evidence = publishing.gather(services.blobs, names, salts)
        with services.db.write() as s:
            late = evidence.by_salt is None and all(services.blobs.has(name) for name in names)
            if not late:  # else they came just now: the proof can be compared at once
                reports.possessed(s, services.ctx, worker, proof, evidence, services.clock())
                return


@router.post("/leases/{lease_id}/failure")
async def post_failure(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Give a task up."""
    failure = read_message(LeaseFailure, node.body)
    require_same_lease(lease_id, failure.lease_id)
    await to_thread.run_sync(_failed, services, node.worker, failure, limiter=services.limits.scoring)
    services.bell.ring()
    return {}


def _failed(services: Services, worker: str, failure: LeaseFailure) -> None:
    now = services.clock()
    with services.db.write() as s:
        given_up = reports.failed(s, services.ctx, worker, failure, now)
    if given_up is not None and failure.code == JOB_FAULT:
        look_for_fault(services.db, services.ctx, services.scorers, given_up, now)

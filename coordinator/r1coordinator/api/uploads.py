"""Who may upload which blob: a worker the files of a version that it is to publish, a submitter those of his model."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import to_thread
from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from r1coordinator.api.limits import Uploads, caller_address
from r1coordinator.api.wire import signed_parts, worker_of
from r1coordinator.services import Services
from r1coordinator.store.rows import get_job, parse_spec
from r1coordinator.store.tables import BlobRow, LeaseRow
from r1net.errors import ProtocolError, Refused
from r1net.protocol.session import SIGNATURE_HEADER
from r1net.protocol.signing import upload_values
from r1net.protocol.upload import UPLOAD_HEADER, UPLOAD_LIFETIME, SignedUpload
from r1net.protocol.work import PublishTask


@dataclass(frozen=True)
class Expected:
    """A blob that `caller` may upload: of `limit` bytes at most, `exact`ly so many if its size is known. `among`
    counts the uploads of its kind: submitters leave room for workers."""

    caller: str
    limit: int
    exact: bool
    among: Uploads


async def expected(request: Request, sha256: str, services: Services) -> Expected:
    """What the caller may upload under this name, by the request's headers alone. Refused with 401 or 403."""
    if request.headers.get(SIGNATURE_HEADER):
        signed = signed_parts(request)
        worker = await worker_of(request, signed, services)
        if signed.digest != sha256:
            raise Refused("wrong_digest", "the signed digest is not the blob's name", status=403)
        return await run_in_threadpool(_of_worker, services, worker, sha256)
    field = request.headers.get(UPLOAD_HEADER)
    if field is None:
        raise Refused(
            "not_signed", "nobody vouches for the upload", status=401, hint=f"sign it, or send {UPLOAD_HEADER}"
        )
    services.limits.unsigned.take(caller_address(request.scope))
    return await to_thread.run_sync(_of_submitter, services, field, sha256, limiter=services.limits.checking)


def _of_worker(services: Services, worker: str, sha256: str) -> Expected:
    with services.db.read() as s:
        leases = select(LeaseRow).where(
            LeaseRow.worker == worker, LeaseRow.kind == "publish", LeaseRow.state == "active"
        )
        for lease in s.scalars(leases):
            task = PublishTask.parse(lease.task)
            if task.salt is None and sha256 in (task.version.policy, task.version.optimizer):
                row = _row(s, lease.job_id, sha256)
                limit = min(row.limit, services.settings.max_blob_bytes)
                return Expected(worker, limit, exact=False, among=services.limits.versions)
    raise Refused("unexpected_blob", "you hold no lease to publish this blob", status=403, hint="ask for work")


def _of_submitter(services: Services, field: str, sha256: str) -> Expected:
    try:
        signed = SignedUpload.parse(field)
        signer = services.domain.signer("Upload", upload_values(signed.upload), signed.signature)
    except ProtocolError as error:
        raise Refused("bad_upload_signature", error.message, status=401) from error
    now = services.clock()
    if not now < signed.upload.expires <= now + UPLOAD_LIFETIME:
        raise Refused("bad_expiry", "the upload's signature is over, or lasts too long", status=401, hint="sign again")
    with services.db.read() as s:
        spec = parse_spec(get_job(s, signed.upload.job_id).spec)
        if signer.lower() != spec.submitter.lower():
            raise Refused("bad_upload_signature", f"signed by {signer}, not by the job's submitter", status=401)
        if sha256 not in spec.files:
            raise Refused("unexpected_blob", "the job has no such file", status=403)
        row = _row(s, signed.upload.job_id, sha256)
    return Expected(spec.submitter, row.limit, exact=True, among=services.limits.models)


def _row(s: Session, job_id: str, sha256: str) -> BlobRow:
    row = s.scalar(select(BlobRow).where(BlobRow.job_id == job_id, BlobRow.sha256 == sha256).limit(1))
    if row is None:
        raise Refused("unexpected_blob", "the job does not expect this blob any more", status=403)
    return row

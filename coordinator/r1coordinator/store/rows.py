"""Small queries that several parts need, and the way from rows to messages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from eth_utils.address import to_checksum_address
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from r1coordinator.store.cache import ByteCache
from r1coordinator.store.tables import BlobRow, DueRow, JobRow, LeaseRow, RefusalRow, TraceRow
from r1net.errors import Refused
from r1net.protocol.job import JobSpec, JobView, PolicyVersion
from r1net.protocol.work import Lease

_DETAIL = 500
_SPECS = 1 << 20
"""Characters of specifications that are kept parsed, where they take nine times as much."""


_specs: ByteCache[JobSpec] = ByteCache(_SPECS)


def parse_spec(text: str) -> JobSpec:
    """A stored specification."""
    return _specs.get(text, len(text), lambda: JobSpec.parse(text))


def token_of(spec: JobSpec) -> str:
    """The token that a job pays in, checksummed: one token must not be two in the reward tree."""
    return str(to_checksum_address(spec.payment_token))


def get_job(s: Session, job_id: str) -> JobRow:
    """The job, or a refusal."""
    job = s.get(JobRow, job_id)
    if job is None:
        raise Refused("unknown_job", f"there is no job {job_id}", status=404, hint="GET /v1/jobs lists the jobs")
    return job


def version_of(job: JobRow) -> PolicyVersion:
    """The job's newest agreed version."""
    return PolicyVersion(number=job.version_number, policy=job.version_policy, optimizer=job.version_optimizer)


def job_view(s: Session, job: JobRow) -> JobView:
    """The public view of a job."""
    missing = s.scalars(
        select(BlobRow.sha256)
        .where(BlobRow.job_id == job.job_id, BlobRow.kind == "model", BlobRow.present.is_(False))
        .order_by(BlobRow.sha256)
    )
    accepted = s.scalar(select(func.count()).select_from(TraceRow).where(TraceRow.job_id == job.job_id))
    return JobView.model_validate(
        {
            "job_id": job.job_id,
            "spec_digest": job.spec_digest,
            "spec": parse_spec(job.spec),
            "state": job.state,
            "phase": job.phase,
            "round": job.round,
            "version": version_of(job),
            "missing_blobs": tuple(missing),
            "traces_accepted": accepted or 0,
            "error": job.error,
            "held": job.held,
            "settlement": _unsettled(s, job.job_id),
        }
    )


def _unsettled(s: Session, job_id: str) -> str | None:
    """Why the oldest due that isn't paid isn't, if there is more to say than that it waits."""
    due = (DueRow.job_id == job_id, DueRow.state != "settled", DueRow.error.is_not(None))
    return s.scalar(select(DueRow.error).where(*due).order_by(DueRow.id).limit(1))


def lease_message(row: LeaseRow, heartbeat_every: float) -> Lease:
    """A lease as it is given out."""
    return Lease.model_validate(
        {
            "id": row.lease_id,
            "job_id": row.job_id,
            "worker": row.worker,
            "expires_at": row.expires_at,
            "heartbeat_every": heartbeat_every,
            "task": json.loads(row.task),
        }
    )


def count_refusal(s: Session, code: str, detail: str, worker: str = "", job_id: str = "", count: int = 1) -> None:
    """One more refusal of this kind, or `count` more."""
    row = s.get(RefusalRow, (worker, job_id, code))
    if row is None:
        s.add(RefusalRow(worker=worker, job_id=job_id, code=code, count=count, detail=detail[:_DETAIL]))
    else:
        row.count += count
        row.detail = detail[:_DETAIL]


def refusals_of(s: Session, job_id: str, codes: Sequence[str]) -> dict[str, int]:
    """Worker -> how many of its submissions to the job were refused with one of `codes`."""
    rows = s.execute(
        select(RefusalRow.worker, func.sum(RefusalRow.count))
        .where(RefusalRow.job_id == job_id, RefusalRow.code.in_(codes), RefusalRow.worker != "")
        .group_by(RefusalRow.worker)
    )
    return {worker: int(count) for worker, count in rows}

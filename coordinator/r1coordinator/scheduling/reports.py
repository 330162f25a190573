"""What nodes say about their leases: trained, failed, published, possessed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.advance import advance
from r1coordinator.scheduling.checks import disputable
from r1coordinator.scheduling.conclude import pay_training
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.leases import end, owned, require_active, require_kind
from r1coordinator.scheduling.metrics import require_modest
from r1coordinator.scheduling.publishing import Evidence, files, judge
from r1coordinator.scheduling.rates import measure
from r1coordinator.store.rows import count_refusal, get_job
from r1coordinator.store.tables import AttemptRow, BlobRow, GradientRow, JobRow, LeaseRow, ReportRow, RoundRow
from r1net.errors import Refused
from r1net.protocol.views import RoundRecord
from r1net.protocol.work import LeaseFailure, PossessionProof, PublishTask, TrainReport, TrainTask

_KEPT_VERSIONS = 2


def trained(s: Session, ctx: Context, worker: str, report: TrainReport, now: float) -> None:
    """Take a trainer's report; the same report again changes nothing."""
    lease = owned(s, report.lease_id, worker)
    require_kind(lease, "train")
    known = s.get(ReportRow, lease.lease_id)
    if known is not None and lease.state in ("reported", "done"):
        if (known.policy, known.optimizer) != (report.version.policy, report.version.optimizer):
            raise Refused("stale_lease", "the lease has brought another report already", status=409)
        return
    require_active(lease)
    require_modest(report.metrics)
    if s.get(GradientRow, lease.lease_id) is None:
        raise Refused("no_commitment", "the gradient was not committed to", status=409, hint="commit before averaging")
    task = TrainTask.parse(lease.task)
    if report.version.number != task.version.number + 1:
        raise Refused("wrong_version", f"version {task.version.number + 1} was to be trained", status=422)
    slot = next(slot for slot in task.slots if slot.worker == lease.worker)
    row = ReportRow(
        lease_id=lease.lease_id,
        job_id=lease.job_id,
        round=lease.round,
        attempt=lease.attempt,
        worker=lease.worker,
        policy=report.version.policy,
        optimizer=report.version.optimizer,
        tokens=slot.tokens,
        metrics=report.metrics,
        reported_at=now,
    )
    s.add(row)
    measure(s, lease, slot.tokens, now)
    end(lease, "reported", now)
    s.flush()
    job = get_job(s, lease.job_id)
    attempt = s.get_one(AttemptRow, (lease.job_id, lease.round, lease.attempt))
    if attempt.state == "agreed":
        _late(s, job, lease, row, now)
    else:
        advance(s, ctx, job, now)


def _late(s: Session, job: JobRow, lease: LeaseRow, report: ReportRow, now: float) -> None:
    """The others have agreed already: who came to the same version is paid all the same."""
    round_ = s.get_one(RoundRow, (job.job_id, lease.round))
    record = RoundRecord.parse(round_.record)
    same = (report.policy, report.optimizer) == (record.version.policy, record.version.optimizer)
    end(lease, "done", now, None if same else "came to another version than the majority")
    digests = {**record.digests, report.worker: report.policy}
    round_.record = record.model_copy(update={"digests": digests}).model_dump_json()
    if same:
        pay_training(s, job, report)


def failed(s: Session, ctx: Context, worker: str, failure: LeaseFailure, now: float) -> LeaseRow | None:
    """A node gives a task up; returns the lease. For one that has ended this changes nothing, and returns None."""
    lease = owned(s, failure.lease_id, worker)
    if lease.state != "active":
        return None
    end(lease, "failed", now, failure.detail, failure.code)
    count_refusal(s, f"failure_{failure.code}"[:40], failure.detail, lease.worker, lease.job_id)
    s.flush()
    advance(s, ctx, get_job(s, lease.job_id), now)
    return lease


def publish_lease(s: Session, worker: str, lease_id: str, *, proof: bool) -> LeaseRow:
    """The worker's publish lease, of the right kind."""
    lease = owned(s, lease_id, worker)
    require_kind(lease, "publish")
    if (PublishTask.parse(lease.task).salt is not None) != proof:
        words = "a proof of possession" if not proof else "the files"
        raise Refused("wrong_kind", f"this lease asks for {words}", status=409)
    return lease


def published(
    s: Session, ctx: Context, worker: str, lease_id: str, evidence: Evidence, missing: Sequence[str], now: float
) -> list[str]:
    """A version's files are here, unless some are `missing`. Returns the blobs that nobody needs any more."""
    lease = publish_lease(s, worker, lease_id, proof=False)
    if lease.state == "done":
        return []
    require_active(lease)
    if missing:
        raise Refused(
            "missing_blobs", f"not uploaded: {', '.join(missing)}", status=409, hint="PUT /v1/blobs/{sha256} first"
        )
    end(lease, "done", now)
    job = get_job(s, lease.job_id)
    for row in s.scalars(select(BlobRow).where(BlobRow.job_id == job.job_id, BlobRow.version == lease.version)):
        row.present = row.present or row.sha256 in files(PublishTask.parse(lease.task).version)
    judge(s, lease, evidence, now)
    s.flush()
    advance(s, ctx, job, now)
    return _prune(s, job, ctx.settings.replayable_versions)


def possessed(s: Session, ctx: Context, worker: str, proof: PossessionProof, evidence: Evidence, now: float) -> None:
    """A trainer proves that it holds a version's files. The proof is kept until these are here to compare with."""
    lease = publish_lease(s, worker, proof.lease_id, proof=True)
    if lease.state in ("reported", "done"):
        return
    require_active(lease)
    if set(proof.proofs) != set(files(PublishTask.parse(lease.task).version)):
        raise Refused("wrong_files", "the proof must name every file of the version, and no other", status=422)
    lease.proof = dict(proof.proofs)
    end(lease, "reported", now)
    s.flush()
    judge(s, lease, evidence, now)
    s.flush()
    advance(s, ctx, get_job(s, lease.job_id), now)


def _prune(s: Session, job: JobRow, replayable: int) -> list[str]:
    """Forget the files of versions before the last ones. Policies stay for longer: without them nobody could replay the
    traces that they sampled. What failed its check stays to be judged, with the versions before and after."""
    passed = or_(
        BlobRow.version <= job.version_number - max(_KEPT_VERSIONS, replayable),
        and_(BlobRow.kind == "optimizer", BlobRow.version <= job.version_number - _KEPT_VERSIONS),
    )
    versioned = BlobRow.kind.in_(("policy", "optimizer"))
    old = (BlobRow.job_id == job.job_id, versioned, passed, BlobRow.version.not_in(disputable(s, job.job_id)))
    names = list(s.scalars(select(BlobRow.sha256).where(*old)))
    s.execute(delete(BlobRow).where(*old))
    needed = set(s.scalars(select(BlobRow.sha256).where(BlobRow.sha256.in_(names))))
    return [name for name in names if name not in needed]

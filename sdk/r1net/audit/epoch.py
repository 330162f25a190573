"""The audit of one epoch: fetch what is public, then derive."""

from __future__ import annotations

from collections.abc import Iterator

from r1net.audit.findings import AuditResult, fault
from r1net.audit.pay import check_pay
from r1net.audit.roots import check_roots, check_sums
from r1net.audit.work import Shown, check_work
from r1net.chain import Chain
from r1net.chain.models import EpochStatus
from r1net.errors import ProtocolError, Refused
from r1net.protocol.job import JobSpec, JobView
from r1net.protocol.settlement import EpochReport, JobEpoch
from r1net.protocol.signing import Domain
from r1net.protocol.trace import SignedTrace, TraceBundle
from r1net.transport import Transport

_FALLEN = (EpochStatus.REJECTED, EpochStatus.UNWOUND)
_GONE = 410


def audit_epoch(epoch: int, coordinator: Transport, chain: Chain) -> list[AuditResult]:
    """Every check of one epoch. Raises ChainError when the epoch was never proposed, Refused when it has no report.

    The bundles behind final epochs are deleted some time after their jobs' end: work that is gone so is not held
    against a final epoch, but against one that can still be challenged.
    """
    report = coordinator.get(f"/v1/epochs/{epoch}/report", EpochReport)
    previous, anchored = _below(report, epoch, coordinator, chain)
    findings = [*check_roots(report, chain.settlement.content(epoch)), *check_sums(report, previous, anchored)]
    specs: dict[str, JobSpec] = {}
    for job in report.jobs:
        findings += _specification(job, coordinator, chain, specs)
    findings += check_pay(report, previous, specs)
    for job in report.jobs:
        findings += _work(job, coordinator, chain, final=chain.settlement.epoch(epoch).status is EpochStatus.FINALISED)
    return findings


def _below(
    report: EpochReport, epoch: int, coordinator: Transport, chain: Chain
) -> tuple[EpochReport | None, str | None]:
    """The report that this one must build on, and the digest that the chain has for it: that of the newest epoch below
    that stands. An epoch that fell may have built on one that fell with it."""
    fell = chain.settlement.epoch(epoch).status in _FALLEN
    for number in range(epoch - 1, 0, -1):
        state = chain.settlement.epoch(number)
        if state.status not in _FALLEN or (fell and state.report_digest == report.previous_report):
            return coordinator.get(f"/v1/epochs/{number}/report", EpochReport), state.report_digest
    return None, None


def _specification(
    job: JobEpoch, coordinator: Transport, chain: Chain, specs: dict[str, JobSpec]
) -> Iterator[AuditResult]:
    """The job's specification, if it is the one that the escrow was funded for."""
    name = f"job {job.job_id[:10]}… specification"
    try:
        spec = coordinator.get(f"/v1/jobs/{job.job_id}", JobView).spec
    except Refused as refusal:
        yield fault(name, f"is not shown: {refusal.message}")
        return
    funded = chain.escrow.job(job.job_id).spec_digest
    yield AuditResult(name, spec.digest() == funded, spec.digest(), funded)
    if spec.digest() == funded:
        specs[job.job_id] = spec


def _work(job: JobEpoch, coordinator: Transport, chain: Chain, *, final: bool) -> Iterator[AuditResult]:
    domain = Domain(chain.deployment.chain_id, chain.deployment.address("NodeRegistry"))
    shown: dict[str, Shown] = {}
    for row in sorted(job.contributions, key=lambda row: row.kind != "rollout"):
        if row.kind == "training" or row.evidence in shown:
            continue
        try:
            shown[row.evidence] = _shown(coordinator, job.job_id, row.evidence, signed=row.kind == "rollout")
        except Refused as refusal:
            if final and refusal.status == _GONE:
                return
        except (ProtocolError, ValueError):
            continue  # what can't be read isn't shown
    workers = {row.worker for row in job.contributions}
    owners = {worker: chain.registry.accountable_for(worker) for worker in sorted(workers)}
    yield from check_work(job, shown, owners, domain)


def _shown(coordinator: Transport, job_id: str, digest: str, *, signed: bool) -> Shown:
    """A bundle; one that was only replayed may be a tampered copy, which nobody signed."""
    bundle = TraceBundle.parse(coordinator.get_blob(digest))
    if not signed:
        return Shown(bundle)
    first = bundle.traces[0].digest()
    return Shown(bundle, coordinator.get(f"/v1/jobs/{job_id}/traces/{first}/submission", SignedTrace).signature)

"""The audit of one epoch, line by line: fetch what is public, then derive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from r1net.audit.exhibits import Exhibits
from r1net.audit.findings import AuditResult, LineAudit, compare, fault
from r1net.audit.line import check_line
from r1net.audit.lineage import Ancestor, check_lineage
from r1net.audit.pay import check_pay
from r1net.audit.signed import Shown
from r1net.audit.trained import Stated
from r1net.audit.work import check_work
from r1net.chain import Chain, EpochContent, JobSettlement, LineStatus
from r1net.errors import ProtocolError, Refused
from r1net.protocol.job import JobSpec, JobView
from r1net.protocol.settlement import EpochReport, JobEpoch
from r1net.protocol.signing import Domain
from r1net.transport import Transport

_STANDS = (LineStatus.PENDING, LineStatus.FINALISED)
_MISSING = 404
_GONE = 410


def audit_epoch(epoch: int, coordinator: Transport, chain: Chain) -> list[LineAudit]:
    """Every check of every line of an epoch. Raises ChainError when it was never proposed.

    The bundles behind paid lines are deleted some time after their jobs' end: work that is gone so is not held against
    a paid line, but against one that can still be challenged.
    """
    auditor = _Auditor(coordinator, chain, chain.settlement.content(epoch))
    return [auditor.audit(line) for line in range(len(auditor.content.jobs))]


def audit_line(epoch: int, line: int, coordinator: Transport, chain: Chain) -> LineAudit:
    """The same for one line. Raises ChainError when there is no such line."""
    return _Auditor(coordinator, chain, chain.settlement.content(epoch)).audit(line)


@dataclass
class _Auditor:
    coordinator: Transport
    chain: Chain
    content: EpochContent
    _lines: dict[int, dict[str, JobEpoch]] = field(default_factory=dict)

    def audit(self, line: int) -> LineAudit:
        job_id = self.content.jobs[line].job_id
        return LineAudit(line, job_id, tuple(self._findings(line, job_id)))

    def _findings(self, line: int, job_id: str) -> Iterator[AuditResult]:
        job = self._shown(self.content.epoch).get(job_id)
        if job is None:
            yield fault("report", "the line is not shown")
            return
        yield from check_line(job, self.content.jobs[line])
        spec, finding = self._specification(job_id)
        yield finding
        if spec is not None:
            yield from check_pay(job, spec)
            yield from check_lineage(job, spec.model.digest(), self._ancestors(job_id))
        yield from self._work(
            job, spec, paid=self.chain.settlement.status(self.content.epoch, line) is LineStatus.FINALISED
        )

    def _shown(self, epoch: int) -> dict[str, JobEpoch]:
        """What the coordinator shows of an epoch, by job. Its word: only the digests on chain make it good."""
        if epoch not in self._lines:
            try:
                report = self.coordinator.get(f"/v1/epochs/{epoch}/report", EpochReport)
            except Refused as refusal:
                if refusal.status != _MISSING:
                    raise
                self._lines[epoch] = {}
            else:
                self._lines[epoch] = {job.job_id: job for job in report.jobs}
        return self._lines[epoch]

    def _ancestors(self, job_id: str) -> list[Ancestor]:
        found = []
        for content in reversed(self.chain.settlement.contents(self.content.epoch - 1)):
            line = content.line(job_id)
            if line is not None:
                epoch, on_chain = content.epoch, content.jobs[line]
                stands = partial(self._stands, epoch, line)
                found.append(Ancestor(epoch, on_chain, stands, partial(self._vouched, epoch, on_chain)))
        return found

    def _stands(self, epoch: int, line: int) -> bool:
        return self.chain.settlement.status(epoch, line) in _STANDS

    def _vouched(self, epoch: int, on_chain: JobSettlement) -> JobEpoch | None:
        job = self._shown(epoch).get(on_chain.job_id)
        return job if job is not None and job.digest() == on_chain.report_digest else None

    def _specification(self, job_id: str) -> tuple[JobSpec | None, AuditResult]:
        """The job's specification, if it is the one that the escrow was funded for."""
        try:
            spec = self.coordinator.get(f"/v1/jobs/{job_id}", JobView).spec
        except Refused as refusal:
            return None, fault("specification", f"is not shown: {refusal.message}")
        finding = compare("specification", spec.digest(), self.chain.escrow.job(job_id).spec_digest)
        return spec if finding.holds else None, finding

    def _work(self, job: JobEpoch, spec: JobSpec | None, *, paid: bool) -> Iterator[AuditResult]:
        chain = self.chain
        domain = Domain(chain.deployment.chain_id, chain.deployment.address("NodeRegistry"))
        stated = spec is None or spec.verification.rate_of("training") > 0
        exhibits = Exhibits(self.coordinator, job.job_id)
        shown: dict[str, Shown | Stated] = {}
        for row in sorted(job.contributions, key=lambda row: row.kind == "verification"):
            if row.evidence in shown or (row.kind == "training" and not stated):
                continue
            try:
                shown[row.evidence] = exhibits.of(row)
            except Refused as refusal:
                if paid and refusal.status == _GONE:
                    return
            except (ProtocolError, ValueError):
                continue  # what can't be read isn't shown
        workers = {row.worker for row in job.contributions}
        owners = {worker: chain.registry.accountable_for(worker) for worker in sorted(workers)}
        yield from check_work(job, shown, owners, domain, stated=stated)

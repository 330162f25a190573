"""The audit of one epoch, line by line: fetch what is public, then derive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from r1net.audit.exhibits import Exhibits
from r1net.audit.findings import AuditResult, LineAudit, compare, fault
from r1net.audit.line import check_line
from r1net.audit.lineage import Ancestor, check_lineage
from r1net.audit.pay import check_pay
from r1net.audit.reading import Reading
from r1net.audit.signed import Shown
from r1net.audit.sources import Sources
from r1net.audit.trained import Stated
from r1net.audit.work import check_work
from r1net.chain import Chain, EpochContent, JobSettlement, LineStatus
from r1net.errors import ProtocolError, Refused
from r1net.protocol.job import JobSpec
from r1net.protocol.settlement import EpochReport, JobEpoch
from r1net.protocol.signing import Domain

T = TypeVar("T")

_STANDS = (LineStatus.PENDING, LineStatus.FINALISED)
_MISSING = 404
_GONE = 410


def audit_epoch(epoch: int, sources: Sources, chain: Chain) -> list[LineAudit]:
    """Every check of every line of an epoch. Raises ChainError when it was never proposed.

    The bundles behind paid lines are deleted some time after their jobs' end: work that is gone so is not held against
    a paid line, but against one that can still be challenged.
    """
    auditor = _Auditor(sources, chain, chain.settlement.content(epoch))
    return [auditor.audit(line) for line in range(len(auditor.content.jobs))]


def audit_line(epoch: int, line: int, sources: Sources, chain: Chain) -> LineAudit:
    """The same for one line. Raises ChainError when there is no such line."""
    return _Auditor(sources, chain, chain.settlement.content(epoch)).audit(line)


def audit_lines(epoch: int, lines: Iterable[int], sources: Sources, chain: Chain) -> Iterator[LineAudit]:
    """The same for some lines, one after the other: each costs its requests when it is asked for."""
    auditor = _Auditor(sources, chain, chain.settlement.content(epoch))
    return (auditor.audit(line) for line in lines)


@dataclass
class _Auditor:
    sources: Sources
    chain: Chain
    content: EpochContent
    _lines: dict[int, dict[str, JobEpoch]] = field(default_factory=dict)

    def audit(self, line: int) -> LineAudit:
        on_chain = self.content.jobs[line]
        reading = Reading(self.sources, self._domain(), on_chain.job_id)
        findings = tuple(self._findings(line, on_chain, reading))
        return LineAudit(line, on_chain.job_id, findings, reading.kept())

    def _domain(self) -> Domain:
        return Domain(self.chain.deployment.chain_id, self.chain.deployment.address("NodeRegistry"))

    def _findings(self, line: int, on_chain: JobSettlement, reading: Reading) -> Iterator[AuditResult]:
        try:
            job = reading.own_line(partial(self._shown, self.content.epoch, on_chain.job_id), on_chain.report_digest)
        except (Refused, ProtocolError) as error:
            yield _unless_asked_again(error, fault("report", "the line is not shown"))
            return
        yield from check_line(job, on_chain)
        spec, finding = self._specification(reading)
        yield finding
        if spec is not None:
            yield from check_pay(job, spec)
            yield from check_lineage(job, spec.model.digest(), self._ancestors(reading))
        yield from self._work(
            job, spec, reading, paid=self.chain.settlement.status(self.content.epoch, line) is LineStatus.FINALISED
        )

    def _shown(self, epoch: int, job_id: str) -> JobEpoch:
        """What the coordinator shows of a job in an epoch. Its word: only the digests on chain make it good. Raises
        Refused when it shows nothing, or nothing that can be read."""
        if epoch not in self._lines:
            try:
                report = self.sources.coordinator.get(f"/v1/epochs/{epoch}/report", EpochReport)
            except Refused as refusal:
                if refusal.status != _MISSING:
                    raise
                self._lines[epoch] = {}
            except ProtocolError:
                self._lines[epoch] = {}
            else:
                self._lines[epoch] = {job.job_id: job for job in report.jobs}
        if job_id not in self._lines[epoch]:
            raise Refused("not_shown", f"epoch {epoch} shows nothing of job {job_id}", status=_MISSING)
        return self._lines[epoch][job_id]

    def _ancestors(self, reading: Reading) -> list[Ancestor]:
        found = []
        for content in reversed(self.chain.settlement.contents(self.content.epoch - 1)):
            line = content.line(reading.job_id)
            if line is not None:
                epoch, on_chain = content.epoch, content.jobs[line]
                stands = partial(self._stands, epoch, line)
                found.append(Ancestor(epoch, on_chain, stands, partial(self._vouched, epoch, on_chain, reading)))
        return found

    def _stands(self, epoch: int, line: int) -> bool:
        return self.chain.settlement.status(epoch, line) in _STANDS

    def _vouched(self, epoch: int, on_chain: JobSettlement, reading: Reading) -> JobEpoch | None:
        try:
            return reading.line(partial(self._shown, epoch, on_chain.job_id), on_chain.report_digest)
        except (Refused, ProtocolError) as error:
            return _unless_asked_again(error, None)

    def _specification(self, reading: Reading) -> tuple[JobSpec | None, AuditResult]:
        """The job's specification, if it is the one that the escrow was funded for."""
        funded = self.chain.escrow.job(reading.job_id).spec_digest
        try:
            spec = reading.specification(funded)
        except (Refused, ProtocolError) as error:
            return None, fault("specification", f"is not shown: {error.message}")
        finding = compare("specification", spec.digest(), funded)
        return spec if finding.holds else None, finding

    def _work(self, job: JobEpoch, spec: JobSpec | None, reading: Reading, *, paid: bool) -> Iterator[AuditResult]:
        stated = spec is None or spec.verification.rate_of("training") > 0
        exhibits = Exhibits(reading)
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
        owners = {worker: self.chain.registry.accountable_for(worker) for worker in sorted(workers)}
        yield from check_work(job, shown, owners, reading.domain, stated=stated)


def _unless_asked_again(error: Refused | ProtocolError, otherwise: T) -> T:
    """What can't be read isn't shown, nor is what isn't there; who says neither yes nor no is asked again."""
    if isinstance(error, Refused) and error.status != _MISSING:
        raise error
    return otherwise

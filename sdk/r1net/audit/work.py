"""Whether paid work was done by whom it is paid to: from the bundles that the workers signed. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from r1net.audit.findings import AuditResult, compare, fault
from r1net.audit.signed import Shown
from r1net.audit.trained import Stated, training_fault
from r1net.protocol.settlement import Contribution, JobEpoch
from r1net.protocol.signing import Domain


def check_work(
    job: JobEpoch,
    shown: Mapping[str, Shown | Stated],
    owners: Mapping[str, str | None],
    domain: Domain,
    *,
    stated: bool = True,
) -> Iterator[AuditResult]:
    """Every rollout is a bundle that its worker signed, of just as many tokens, whose traces are anchored; every
    training a statement that its worker signed, about as many tokens; each account is the owner that the registry names
    for the worker. `shown` is by digest. Where nothing is checked, trainers have not `stated` anything."""
    name = f"job {job.job_id[:10]}…"
    leases = Counter(row.lease_id for row in job.contributions)
    yield compare(f"{name} leases, each once", str(len(leases)), str(len(job.contributions)))
    digests: Counter[str] = Counter()
    for row in job.contributions:
        owner = owners.get(row.worker) or "nobody"
        if owner.lower() != row.account.lower():
            yield fault(f"{name} account of {row.lease_id}", f"{row.worker} works for {owner}, not {row.account}")
        if row.kind == "training" and not stated:
            continue
        there = shown.get(row.evidence)
        words = _fault(row, job.job_id, there, domain)
        if words is not None:
            yield fault(f"{name} {row.kind} {row.lease_id}", words)
        elif row.kind == "rollout" and isinstance(there, Shown):
            digests.update(trace.digest() for trace in there.bundle.traces)
    yield compare(f"{name} traces, each once", str(len(set(job.trace_digests))), str(len(job.trace_digests)))
    missing = digests - Counter(job.trace_digests)
    yield AuditResult(f"{name} paid traces are anchored", not missing, f"{missing.total()} are not", "0")


def _fault(row: Contribution, job_id: str, shown: Shown | Stated | None, domain: Domain) -> str | None:
    """What is wrong with a contribution."""
    if row.kind == "training" or (row.kind == "verification" and isinstance(shown, Stated)):
        return training_fault(row, shown if isinstance(shown, Stated) else None, domain)
    if not isinstance(shown, Shown):
        return f"its bundle {row.evidence} is not shown"
    if any(trace.job_id != job_id for trace in shown.bundle.traces):
        return "its bundle is of another job"
    if row.kind == "verification":
        tokens = shown.tokens
        return None if row.tokens <= tokens else f"{row.tokens} tokens, and the bundle has {tokens}"
    return _rollout_fault(row, shown, domain)


def _rollout_fault(row: Contribution, shown: Shown, domain: Domain) -> str | None:
    bundle = shown.bundle
    if (bundle.lease_id, row.tokens) != (row.lease_id, shown.tokens):
        return f"its bundle is of lease {bundle.lease_id} and {shown.tokens} tokens"
    foreign = any(trace.worker.lower() != row.worker.lower() or trace.round != row.round for trace in bundle.traces)
    return "its bundle is of another worker or round" if foreign else shown.unsigned(row.worker, domain)

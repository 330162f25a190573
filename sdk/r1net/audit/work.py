"""Whether paid work was done by whom it is paid to: from the bundles that the workers signed. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from r1net.audit.findings import AuditResult, compare, fault
from r1net.errors import ProtocolError
from r1net.protocol.settlement import Contribution, JobEpoch
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import TraceBundle


@dataclass(frozen=True)
class Shown:
    """A bundle as the coordinator shows it, with the signature that its worker gave for it, where it was asked for."""

    bundle: TraceBundle
    signature: str | None = None


def check_work(
    job: JobEpoch, shown: Mapping[str, Shown], owners: Mapping[str, str | None], domain: Domain
) -> Iterator[AuditResult]:
    """Every rollout is a bundle that its worker signed, of just as many tokens, whose traces are anchored; each account
    is the owner that the registry names for the worker. `shown` is by bundle digest."""
    name = f"job {job.job_id[:10]}…"
    leases = Counter(row.lease_id for row in job.contributions)
    yield compare(f"{name} leases, each once", str(len(leases)), str(len(job.contributions)))
    digests: Counter[str] = Counter()
    for row in job.contributions:
        owner = owners.get(row.worker) or "nobody"
        if owner.lower() != row.account.lower():
            yield fault(f"{name} account of {row.lease_id}", f"{row.worker} works for {owner}, not {row.account}")
        if row.kind == "training":
            continue
        words = _fault(row, job.job_id, shown.get(row.evidence), domain)
        if words is not None:
            yield fault(f"{name} {row.kind} {row.lease_id}", words)
        elif row.kind == "rollout":
            digests.update(trace.digest() for trace in shown[row.evidence].bundle.traces)
    yield compare(f"{name} traces, each once", str(len(set(job.trace_digests))), str(len(job.trace_digests)))
    missing = digests - Counter(job.trace_digests)
    yield AuditResult(f"{name} paid traces are anchored", not missing, f"{missing.total()} are not", "0")


def _fault(row: Contribution, job_id: str, shown: Shown | None, domain: Domain) -> str | None:
    """What is wrong with a contribution that rests on a bundle."""
    if shown is None:
        return f"its bundle {row.evidence} is not shown"
    bundle = shown.bundle
    tokens = sum(len(trace.completion_ids) for trace in bundle.traces)
    if any(trace.job_id != job_id for trace in bundle.traces):
        return "its bundle is of another job"
    if row.kind == "verification":
        return None if row.tokens <= tokens else f"{row.tokens} tokens, and the bundle has {tokens}"
    if (bundle.lease_id, row.tokens) != (row.lease_id, tokens):
        return f"its bundle is of lease {bundle.lease_id} and {tokens} tokens"
    if any(trace.worker.lower() != row.worker.lower() or trace.round != row.round for trace in bundle.traces):
        return "its bundle is of another worker or round"
    return _unsigned(shown, row.worker, domain)


def _unsigned(shown: Shown, worker: str, domain: Domain) -> str | None:
    """Why a bundle is not what the worker signed."""
    bundle = shown.bundle
    values = submission_values(bundle.lease_id, bundle.tree().root, len(bundle.traces))
    try:
        signer = domain.signer("Submission", values, shown.signature or "0x")
    except ProtocolError as error:
        return error.message
    return None if signer.lower() == worker.lower() else f"signed by {signer}, not by {worker}"

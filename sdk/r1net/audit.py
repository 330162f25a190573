"""Recompute a settlement from its public report, and hold every figure against the chain.

Nothing here trusts the coordinator: the report is taken only when the chain vouches for its digest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from r1net.chain import Chain
from r1net.chain.models import EpochContent, EpochStatus
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import REWARD_LEAF, EpochReport
from r1net.protocol.trace import trace_tree
from r1net.transport import Transport

_FALLEN = (EpochStatus.REJECTED, EpochStatus.UNWOUND)


@dataclass(frozen=True)
class AuditResult:
    """One thing that was checked: what the report gives against what the chain says."""

    check: str
    holds: bool
    recomputed: str
    on_chain: str


def audit_epoch(epoch: int, coordinator: Transport, chain: Chain) -> list[AuditResult]:
    """Every check of one epoch. Raises ChainError when the epoch was never proposed, Refused when it has no report."""
    report = coordinator.get(f"/v1/epochs/{epoch}/report", EpochReport)
    content = chain.settlement.content(epoch)
    return list(_checks(report, _previous(report, epoch, coordinator, chain), content))


def _previous(report: EpochReport, epoch: int, coordinator: Transport, chain: Chain) -> EpochReport | None:
    """The report that this one must build on: that of the newest epoch below that stands. An epoch that fell may have
    built on one that fell with it."""
    fell = chain.settlement.epoch(epoch).status in _FALLEN
    for number in range(epoch - 1, 0, -1):
        state = chain.settlement.epoch(number)
        if state.status not in _FALLEN or (fell and state.report_digest == report.previous_report):
            return coordinator.get(f"/v1/epochs/{number}/report", EpochReport)
    return None


def _checks(report: EpochReport, previous: EpochReport | None, content: EpochContent) -> Iterator[AuditResult]:
    yield _compare("report digest", report.digest(), content.report_digest)
    rows = [(row.token, row.account, row.cumulative) for row in report.rewards]
    yield _compare("rewards root", StandardMerkleTree.of(rows, REWARD_LEAF).root, content.rewards_root)
    anchored = {job.job_id: job for job in content.jobs}
    for job in report.jobs:
        name = f"job {job.job_id[:10]}…"
        on_chain = anchored[job.job_id]
        yield _compare(f"{name} traces root", trace_tree(list(job.trace_digests)).root, on_chain.traces_root)
        yield _compare(f"{name} trace count", str(len(job.trace_digests)), str(on_chain.trace_count))
        yield _compare(f"{name} amount", str(job.amount), str(on_chain.amount))
        yield _compare(f"{name} policy", job.new_policy, on_chain.new_policy)
    yield from _money(report, previous)


def _money(report: EpochReport, previous: EpochReport | None) -> Iterator[AuditResult]:
    """Cumulative rewards never fall, and rise for each token by just what the jobs pay."""
    if report.previous_report is not None or previous is not None:
        yield _compare("previous report", previous.digest() if previous else "none", report.previous_report or "none")
    before = {(row.token, row.account): row.cumulative for row in previous.rewards} if previous else {}
    rises: dict[str, int] = defaultdict(int)
    fallen = set(before)
    for row in report.rewards:
        rise = row.cumulative - before.get((row.token, row.account), 0)
        rises[row.token] += rise
        if rise >= 0:
            fallen.discard((row.token, row.account))
    yield AuditResult("no reward fell", not fallen, str(len(fallen)), "0")
    paid: dict[str, int] = defaultdict(int)
    for job in report.jobs:
        paid[job.token] += job.amount
    for token in sorted(paid):
        yield _compare(f"rewards paid in {token[:10]}…", str(rises[token]), str(paid[token]))


def _compare(check: str, recomputed: str, on_chain: str) -> AuditResult:
    return AuditResult(check, recomputed.lower() == on_chain.lower(), recomputed, on_chain)

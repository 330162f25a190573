"""Roots, sets and sums of a report, against what the chain holds. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from r1net.audit.findings import AuditResult, compare
from r1net.chain.models import EpochContent
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import REWARD_LEAF, EpochReport
from r1net.protocol.trace import trace_tree


def check_roots(report: EpochReport, content: EpochContent) -> Iterator[AuditResult]:
    """The report is the one that was anchored, names the jobs that pay, all of them, and its trees have the roots."""
    yield compare("report digest", report.digest(), content.report_digest)
    yield compare("epoch", str(report.epoch), str(content.epoch))
    rows = [(row.token, row.account, row.cumulative) for row in report.rewards]
    yield compare("one reward row for each account", str(len({row[:2] for row in rows})), str(len(rows)))
    yield compare("rewards root", StandardMerkleTree.of(rows, REWARD_LEAF).root, content.rewards_root)
    named, anchored = [job.job_id for job in report.jobs], {job.job_id: job for job in content.jobs}
    yield compare("jobs", ", ".join(sorted(named)), ", ".join(sorted(anchored)))
    for job in report.jobs:
        if job.job_id not in anchored:
            continue
        name, on_chain = f"job {job.job_id[:10]}…", anchored[job.job_id]
        yield compare(f"{name} traces root", trace_tree(list(job.trace_digests)).root, on_chain.traces_root)
        yield compare(f"{name} trace count", str(len(job.trace_digests)), str(on_chain.trace_count))
        yield compare(f"{name} amount", str(job.amount), str(on_chain.amount))
        yield compare(f"{name} policy", job.new_policy, on_chain.new_policy)
        yield compare(f"{name} parent policy", job.parent_policy, on_chain.parent_policy)


def check_sums(report: EpochReport, previous: EpochReport | None, anchored: str | None) -> Iterator[AuditResult]:
    """Cumulative rewards build on the report that the chain `anchored` in the newest epoch below that stands, never
    fall, and rise for each token by just what the jobs pay."""
    if previous is not None:
        yield compare("report below", previous.digest(), anchored or "none")
    yield compare("previous report", anchored or "none", report.previous_report or "none")
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
    for token in sorted(paid.keys() | rises.keys()):
        yield compare(f"rewards paid in {token[:10]}…", str(rises[token]), str(paid[token]))

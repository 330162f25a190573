"""A line of a report, against what the chain holds of it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from r1net.audit.findings import AuditResult, compare
from r1net.chain.models import JobSettlement
from r1net.protocol.settlement import JobEpoch, rewards_root
from r1net.protocol.trace import trace_tree


def check_line(job: JobEpoch, on_chain: JobSettlement) -> Iterator[AuditResult]:
    """The line is the one that was anchored, its trees have the roots, and its rewards come to what it takes."""
    yield compare("report digest", job.digest(), on_chain.report_digest)
    yield compare("traces root", trace_tree(list(job.trace_digests)).root, on_chain.traces_root)
    yield compare("trace count", str(len(job.trace_digests)), str(on_chain.trace_count))
    yield compare("rewards root", rewards_root(job.rewards), on_chain.rewards_root)
    accounts = [row.account.lower() for row in job.rewards]
    ordered = all(below < above for below, above in pairwise(accounts))
    yield AuditResult("one reward for each account, in order", ordered, ", ".join(sorted(set(accounts))), "")
    yield compare("sum of rewards", str(sum(row.amount for row in job.rewards)), str(on_chain.amount))
    yield compare("amount", str(job.amount), str(on_chain.amount))
    yield compare("new policy", job.new_policy, on_chain.new_policy)
    yield compare("stated parent policy", job.parent_policy, on_chain.parent_policy)

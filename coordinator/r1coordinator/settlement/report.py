"""What an epoch says, from the dues that it settles. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from r1net.chain import JobSettlement
from r1net.protocol.settlement import JobEpoch

MAX_JOBS = 64
"""The most lines that the contract takes in one epoch."""


def settlement_of(part: JobEpoch) -> JobSettlement:
    """A line as the contract takes it."""
    return JobSettlement(
        job_id=part.job_id,
        amount=part.amount,
        rewards_root=part.rewards_root,
        report_digest=part.digest(),
        traces_root=part.traces_root,
        trace_count=len(part.trace_digests),
        parent_policy=part.parent_policy,
        new_policy=part.new_policy,
    )


def report_text(epoch: int, chain_id: int, lines: Sequence[str]) -> str:
    """The canonical report of an epoch, from its canonical lines: they are not read, since they may be long."""
    return f'{{"chain_id":{chain_id},"epoch":{epoch},"jobs":[{",".join(lines)}],"v":1}}'

"""The public report of an epoch, and the trees that anyone rebuilds from it. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from r1net.chain import JobSettlement
from r1net.protocol.canonical import Address
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import REWARD_LEAF, CumulativeReward, EpochReport, JobEpoch

MAX_JOBS = 64
"""The most jobs that the contract takes in one epoch."""

Earned = tuple[Address, Address, int]
"""Token, account, amount of one contribution."""


def cumulate(previous: Iterable[CumulativeReward], earned: Iterable[Earned]) -> tuple[CumulativeReward, ...]:
    """The new reward rows: the previous ones and what was earned since, by token and account."""
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for row in previous:
        totals[row.token, row.account] += row.cumulative
    for token, account, amount in earned:
        totals[token, account] += amount
    return tuple(
        CumulativeReward(token=token, account=account, cumulative=amount)
        for (token, account), amount in sorted(totals.items())
    )


def reward_tree(rewards: Sequence[CumulativeReward]) -> StandardMerkleTree:
    """The tree that accounts claim from."""
    return StandardMerkleTree.of([(row.token, row.account, row.cumulative) for row in rewards], REWARD_LEAF)


def settlements(report: EpochReport) -> list[JobSettlement]:
    """A report's jobs as the contract takes them."""
    return [
        JobSettlement(
            job_id=job.job_id,
            amount=job.amount,
            traces_root=job.traces_root,
            trace_count=len(job.trace_digests),
            parent_policy=job.parent_policy,
            new_policy=job.new_policy,
        )
        for job in report.jobs
    ]


def build_report(
    epoch: int,
    chain_id: int,
    jobs: Iterable[JobEpoch],
    earned: Iterable[Earned],
    previous: EpochReport | None,
) -> EpochReport:
    """The report of an epoch, on top of the newest one that wasn't rejected; jobs in ascending order of id."""
    rewards = cumulate(previous.rewards if previous else (), earned)
    return EpochReport(
        epoch=epoch,
        chain_id=chain_id,
        jobs=tuple(sorted(jobs, key=lambda job: job.job_id)),
        rewards=rewards,
        rewards_root=reward_tree(rewards).root,
        previous_report=previous.digest() if previous else None,
    )

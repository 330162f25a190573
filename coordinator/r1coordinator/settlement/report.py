"""The public report of an epoch, and the trees that anyone rebuilds from it. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from r1net.protocol.canonical import Address
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import REWARD_LEAF, CumulativeReward, EpochReport, JobEpoch

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


def build_report(
    epoch: int,
    chain_id: int,
    job: JobEpoch,
    earned: Iterable[Earned],
    previous: EpochReport | None,
) -> EpochReport:
    """The report of an epoch that settles one job."""
    rewards = cumulate(previous.rewards if previous else (), earned)
    return EpochReport(
        epoch=epoch,
        chain_id=chain_id,
        jobs=(job,),
        rewards=rewards,
        rewards_root=reward_tree(rewards).root,
        previous_report=previous.digest() if previous else None,
    )

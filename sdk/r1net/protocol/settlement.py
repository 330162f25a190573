"""The public report of an epoch: from it anyone recomputes every line's two roots and every account's pay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from eth_utils.address import to_checksum_address
from pydantic import Field

from r1net.protocol.canonical import Address, Hash, Message, Wei
from r1net.protocol.merkle import StandardMerkleTree

REWARD_LEAF = ["uint256", "address", "uint256"]
"""ABI types of a reward leaf: index, account, amount."""
NO_ROOT = "0x" + "0" * 64
"""The rewards root of a line that pays nobody."""


class Contribution(Message):
    """One paid piece of work. `evidence` is the bundle's blob (rollout), the trainer's statement (training; the
    policy digest where nothing is checked), or what was repeated of these (verification)."""

    job_id: Hash
    kind: Literal["rollout", "training", "verification"]
    account: Address = Field(description="the owner who is paid")
    worker: Address
    round: int
    lease_id: str
    tokens: int = Field(ge=0)
    evidence: Hash


class Reward(Message):
    """What a line pays to an account: a leaf of its reward tree, whose index is its place."""

    account: Address
    amount: Wei = Field(gt=0)


class JobEpoch(Message):
    """One job's part of an epoch, its line: a pot of its own, whose digest goes on chain. `trace_digests` in the order
    of the provenance tree's rows, `rewards` ascending by account, one for each that is paid."""

    job_id: Hash
    token: Address
    amount: Wei
    rounds: tuple[int, int] = Field(description="first and one past the last round")
    parent_policy: Hash
    new_policy: Hash
    traces_root: Hash
    trace_digests: tuple[Hash, ...]
    contributions: tuple[Contribution, ...]
    rewards: tuple[Reward, ...]
    rewards_root: Hash


class DueView(Message):
    """What a job owes for the work between two closings, and where that stands.

    It is settled by one line of an epoch. `unpayable`: the escrow can never pay it; `held`: it was rejected too often.
    """

    id: int
    job_id: Hash
    state: Literal["waiting", "settling", "settled", "unpayable", "held"]
    amount: Wei
    traces: int
    epoch: int | None = Field(default=None, description="the epoch that settles it; may change until that is final")
    tries: int = Field(default=0, description="how often it was left out of an epoch")
    rejections: int = 0
    error: str | None = Field(default=None, description="why it waits or is lost, in words")
    closed_at: float


class EpochReport(Message):
    """The lines of one epoch, ascending by job: independent of each other, and of every other epoch."""

    epoch: int = Field(ge=1)
    chain_id: int
    jobs: tuple[JobEpoch, ...]


class ClaimProof(Message):
    """What an account needs to claim what one line pays it."""

    epoch: int
    job_id: Hash
    token: Address
    index: int = Field(ge=0)
    account: Address
    amount: Wei
    proof: tuple[Hash, ...]


class TraceProof(Message):
    """What anyone needs to check one trace against the chain."""

    job_id: Hash
    epoch: int
    trace_digest: Hash
    proof: tuple[Hash, ...]
    traces_root: Hash


def rewards_of(earned: Iterable[tuple[Address, int]]) -> tuple[Reward, ...]:
    """A line's rewards from the pay of its contributions, each as (account, amount)."""
    totals: dict[str, int] = defaultdict(int)
    for account, amount in earned:
        totals[to_checksum_address(account)] += amount
    rows = sorted(totals.items(), key=lambda row: row[0].lower())
    return tuple(Reward(account=account, amount=amount) for account, amount in rows if amount)


def reward_tree(rewards: Sequence[Reward]) -> StandardMerkleTree:
    """The tree that accounts claim from; there is none without a reward."""
    return StandardMerkleTree.of([(index, row.account, row.amount) for index, row in enumerate(rewards)], REWARD_LEAF)


def rewards_root(rewards: Sequence[Reward]) -> str:
    """The root of a line's rewards."""
    return reward_tree(rewards).root if rewards else NO_ROOT

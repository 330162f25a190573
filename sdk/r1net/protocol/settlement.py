"""The public report of an epoch: from it anyone recomputes both roots and every account's pay."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1net.protocol.canonical import Address, Hash, Message, Wei

REWARD_LEAF = ["address", "address", "uint256"]
"""ABI types of a reward leaf: token, account, cumulative amount."""


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


class JobEpoch(Message):
    """One job's part of an epoch. `trace_digests` in the order of the provenance tree's rows."""

    job_id: Hash
    token: Address
    amount: Wei
    rounds: tuple[int, int] = Field(description="first and one past the last round")
    parent_policy: Hash
    new_policy: Hash
    traces_root: Hash
    trace_digests: tuple[Hash, ...]
    contributions: tuple[Contribution, ...]


class DueView(Message):
    """What a job owes for the work between two closings, and where that stands.

    It is settled by one epoch. `unpayable`: the escrow can never pay it; `held`: its epochs were rejected too often.
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


class CumulativeReward(Message):
    """A leaf of the reward tree."""

    token: Address
    account: Address
    cumulative: Wei


class EpochReport(Message):
    """The whole settlement of one epoch; its digest goes on chain with the roots."""

    epoch: int = Field(ge=1)
    chain_id: int
    jobs: tuple[JobEpoch, ...]
    rewards: tuple[CumulativeReward, ...]
    rewards_root: Hash
    previous_report: Hash | None = None


class ClaimProof(Message):
    """What an account needs to claim."""

    token: Address
    account: Address
    epoch: int
    cumulative: Wei
    proof: tuple[Hash, ...]


class TraceProof(Message):
    """What anyone needs to check one trace against the chain."""

    job_id: Hash
    epoch: int
    trace_digest: Hash
    proof: tuple[Hash, ...]
    traces_root: Hash

"""What the bindings give and take. Amounts are integers in the token's smallest unit (wei), times Unix seconds,
hashes `0x` hex of 32 bytes, addresses checksummed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class EpochStatus(IntEnum):
    """The life of an epoch: pending, then finalised, or rejected and then unwound (its reserves freed)."""

    NONE = 0
    PENDING = 1
    FINALISED = 2
    REJECTED = 3
    UNWOUND = 4


@dataclass(frozen=True)
class TxReceipt:
    """A transaction that was mined and succeeded. `fee` is what it cost, in wei of the chain's own coin; `contract`
    is the address of what it deployed, if it did."""

    tx_hash: str
    block: int
    gas_used: int
    fee: int
    logs: tuple[Any, ...]
    contract: str | None = None


@dataclass(frozen=True)
class NodeState:
    """An owner's account in the registry. `exit_at` is 0 while the node stays."""

    owner: str
    stake: int
    locked: int
    exit_at: int
    workers: int
    debt: int
    active: bool


@dataclass(frozen=True)
class JobState:
    """A job's account in the escrow. `closed_at` is 0 while it is open; `paid` includes what waits for delivery."""

    job_id: str
    submitter: str
    token: str
    epoch_cap: int
    available: int
    reserved: int
    funded: int
    refunded: int
    closed_at: int
    spec_digest: str
    allowance: int
    """What of the cap an epoch may take now."""

    @property
    def paid(self) -> int:
        """What final epochs have taken."""
        return self.funded - self.available - self.reserved - self.refunded


@dataclass(frozen=True)
class JobSettlement:
    """What an epoch says about one job."""

    job_id: str
    amount: int
    traces_root: str
    trace_count: int
    parent_policy: str
    new_policy: str

    def abi(self) -> tuple[bytes, int, bytes, int, bytes, bytes]:
        """As the contract takes it."""
        return (
            unhex(self.job_id),
            self.amount,
            unhex(self.traces_root),
            self.trace_count,
            unhex(self.parent_policy),
            unhex(self.new_policy),
        )


@dataclass(frozen=True)
class EpochContent:
    """All that an epoch says; jobs in ascending order of id."""

    epoch: int
    rewards_root: str
    report_digest: str
    jobs: tuple[JobSettlement, ...]

    def abi(self) -> tuple[int, bytes, bytes, list[tuple[Any, ...]]]:
        """As the contract takes it."""
        return (self.epoch, unhex(self.rewards_root), unhex(self.report_digest), [job.abi() for job in self.jobs])

    def job_index(self, job_id: str) -> int | None:
        """Where a job stands in the epoch; None if it is not part of it."""
        ids = [job.job_id for job in self.jobs]
        return ids.index(job_id.lower()) if job_id.lower() in ids else None


@dataclass(frozen=True)
class EpochState:
    """What the chain keeps of an epoch. `finalisable_at` is when, by the
    settlement's clock, the challenge window ends;
    `report_digest` is as announced with the proposal, empty where there was none."""

    epoch: int
    status: EpochStatus
    rewards_root: str
    commitment: str
    proposer: str
    finalisable_at: int
    proposed_block: int
    disputes: int
    report_digest: str = ""


@dataclass(frozen=True)
class RewardClaim:
    """One claim of a batch."""

    token: str
    account: str
    cumulative: int
    proof: tuple[str, ...]


@dataclass(frozen=True)
class ProvenanceRecord:
    """What is anchored for one job and epoch."""

    job_id: str
    epoch: int
    status: EpochStatus
    traces_root: str
    trace_count: int
    parent_policy: str
    new_policy: str
    report_digest: str


def unhex(value: str) -> bytes:
    """The bytes of a hex string, with or without 0x."""
    return bytes.fromhex(value.removeprefix("0x"))


def enhex(value: bytes) -> str:
    """`0x` hex of bytes (web3's HexBytes.hex() has no 0x)."""
    return "0x" + bytes(value).hex()

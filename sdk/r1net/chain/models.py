"""What the bindings give and take. Amounts are integers in the token's smallest unit (wei), times Unix seconds,
hashes `0x` hex of 32 bytes, addresses checksummed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

_JOB_ABI = "(bytes32,uint256,bytes32,bytes32,bytes32,uint256,bytes32,bytes32)"


class LineStatus(IntEnum):
    """The life of a line, one job's part of an epoch: pending, then finalised (paid), or rejected and then unwound (its
    reserve freed)."""

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
    """A job's account in the escrow. `closed_at` is 0 while it is open."""

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
        """What lines that are paid have taken, less what came back."""
        return self.funded - self.available - self.reserved - self.refunded


@dataclass(frozen=True)
class JobSettlement:
    """What an epoch says about one job: a line."""

    job_id: str
    amount: int
    rewards_root: str
    report_digest: str
    traces_root: str
    trace_count: int
    parent_policy: str
    new_policy: str

    def abi(self) -> tuple[bytes, int, bytes, bytes, bytes, int, bytes, bytes]:
        """As the contract takes it."""
        return (
            unhex(self.job_id),
            self.amount,
            unhex(self.rewards_root),
            unhex(self.report_digest),
            unhex(self.traces_root),
            self.trace_count,
            unhex(self.parent_policy),
            unhex(self.new_policy),
        )


@dataclass(frozen=True)
class EpochContent:
    """All that an epoch says; jobs in ascending order of id. A line is the index of one."""

    epoch: int
    jobs: tuple[JobSettlement, ...]

    @classmethod
    def of(cls, epoch: int, jobs: Iterable[JobSettlement]) -> EpochContent:
        """An epoch of jobs in any order."""
        return cls(epoch, tuple(sorted(jobs, key=lambda job: job.job_id.lower())))

    def abi(self) -> tuple[int, list[tuple[Any, ...]]]:
        """As the contract takes it."""
        return (self.epoch, [job.abi() for job in self.jobs])

    def commitment(self) -> str:
        """What the chain keeps of it."""
        return enhex(keccak(encode([f"(uint256,{_JOB_ABI}[])"], [self.abi()])))

    def line(self, job_id: str) -> int | None:
        """A job's line; None if it is not part of the epoch."""
        ids = [job.job_id for job in self.jobs]
        return ids.index(job_id.lower()) if job_id.lower() in ids else None


@dataclass(frozen=True)
class EpochState:
    """What the chain keeps of an epoch. `finalisable_at` is when, by the settlement's clock, the challenge window ends.
    The last four are sets of lines, a bit for each."""

    epoch: int
    commitment: str
    proposer: str
    finalisable_at: int
    proposed_block: int
    lines: int
    paid: int
    rejected: int
    unwound: int
    disputed: int

    @property
    def known(self) -> bool:
        """Whether it was ever proposed."""
        return self.proposed_block != 0

    @property
    def over(self) -> bool:
        """Whether no line can change any more: each is paid or unwound."""
        return (self.paid | self.unwound) == (1 << self.lines) - 1

    def status(self, line: int) -> LineStatus:
        """How a line stands."""
        if line >= self.lines:
            return LineStatus.NONE
        for status, lines in (
            (LineStatus.UNWOUND, self.unwound),
            (LineStatus.REJECTED, self.rejected),
            (LineStatus.FINALISED, self.paid),
        ):
            if lines >> line & 1:
                return status
        return LineStatus.PENDING

    def lines_that_are(self, status: LineStatus) -> list[int]:
        """The lines with a status."""
        return [line for line in range(self.lines) if self.status(line) is status]

    def payable(self) -> list[int]:
        """The lines that can be paid once the window is over: pending, and not disputed."""
        return [line for line in self.lines_that_are(LineStatus.PENDING) if not self.disputed >> line & 1]


@dataclass(frozen=True)
class RewardClaim:
    """One leaf of a line's reward tree, with its proof."""

    epoch: int
    job_id: str
    index: int
    account: str
    amount: int
    proof: tuple[str, ...]

    def abi(self) -> tuple[Any, ...]:
        """As the contract takes it."""
        return (
            self.epoch,
            unhex(self.job_id),
            self.index,
            self.account,
            self.amount,
            [unhex(node) for node in self.proof],
        )


@dataclass(frozen=True)
class ProvenanceRecord:
    """What is anchored for one job and epoch."""

    job_id: str
    epoch: int
    status: LineStatus
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

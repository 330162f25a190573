"""Epochs: proposed, open to challenge, paid line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1net.chain.contract import BoundContract
from r1net.chain.models import EpochContent, EpochState, JobSettlement, LineStatus, TxReceipt, enhex
from r1net.chain.sender import Sender
from r1net.errors import ChainError

LINES_AT_ONCE = 32
"""Lines that are paid in one transaction: 32 tokens that burn all the gas they get stay below 2^24 together."""


class Settlement:
    """The Settlement contract. A line is a job's part of an epoch, by its index. Times of epochs are told in the
    contract's clock, see `clock`."""

    def __init__(self, address: str, sender: Sender, first_block: int) -> None:
        self.address = address
        self._contract = BoundContract("Settlement", address, sender)
        self._first_block = first_block

    def propose(self, epoch: int, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """Propose the next epoch; reserves its money and opens the challenge window. Jobs may come in any order."""
        return self._contract.send("proposeEpoch", EpochContent.of(epoch, jobs).abi())

    def check(self, epoch: int, jobs: Sequence[JobSettlement]) -> None:
        """Try a proposal without sending it. Raises Reverted with the reason for which it would be refused now."""
        self._contract.call("proposeEpoch", EpochContent.of(epoch, jobs).abi())

    def finalise(self, epoch: int) -> TxReceipt:
        """Pay every line that can be paid, once the window is over: each into its own pot of rewards. Those that are
        disputed, or whose token refuses, are passed over; call it again for them.

        An epoch of many lines is paid in parts, so that each transaction fits a block whatever its tokens burn.
        """
        content, payable = self.content(epoch), self.epoch(epoch).payable()
        if len(payable) <= LINES_AT_ONCE:
            return self._contract.send("finaliseEpoch", content.abi())
        for first in range(0, len(payable), LINES_AT_ONCE):
            lines = sum(1 << line for line in payable[first : first + LINES_AT_ONCE])
            receipt = self._contract.send("finaliseLines", content.abi(), lines)
        return receipt

    def bond_of(self, epoch: int) -> int:
        """R1 in wei that the epoch's proposer has locked for it."""
        return int(self._contract.call("bondOf", epoch))

    def bond_rate(self, token: str) -> int:
        """R1 in wei for 1e18 of a token's smallest units that an epoch reserves."""
        return int(self._contract.call("bondRate", token))

    def is_suspended(self, settler: str) -> bool:
        """Whether a settler was convicted and not reinstated."""
        return bool(self._contract.call("suspended", settler))

    def unwind(self, epoch: int) -> TxReceipt:
        """Give the reserves of an epoch's rejected lines back to their jobs."""
        return self._contract.send("unwindEpoch", self.content(epoch).abi())

    def pause(self) -> TxReceipt:
        """Stop proposals and finalisation for at most a week. For the guardian."""
        return self._contract.send("pause")

    def unpause(self) -> TxReceipt:
        """End a pause. For the guardian and the timelock."""
        return self._contract.send("unpause")

    def paused_until(self) -> int:
        """Second until which settlement is stopped; in the past if it is not."""
        return int(self._contract.call("pausedUntil"))

    def next_epoch(self) -> int:
        """The number that the next proposal must have."""
        return int(self._contract.call("nextEpoch"))

    def challenge_window(self) -> int:
        """Seconds during which a new epoch can be challenged."""
        return int(self._contract.call("challengeWindow"))

    def epoch(self, epoch: int, depth: int = 0) -> EpochState:
        """What the chain keeps of an epoch, as it was `depth` blocks ago; nothing if it was never proposed."""
        commitment, *rest = self._contract.call("epochOf", epoch, depth=depth)
        return EpochState(epoch, enhex(commitment), *rest)

    def status(self, epoch: int, line: int) -> LineStatus:
        """How a line stands."""
        return LineStatus(self._contract.call("statusOf", epoch, line))

    def clock(self) -> int:
        """Unix time less all seconds that settlement was paused for: what its deadlines are told in."""
        return int(self._contract.call("clock"))

    def content(self, epoch: int) -> EpochContent:
        """All that an epoch says, from the event that announced it."""
        block = self.epoch(epoch).proposed_block
        events = self._contract.logs("EpochProposed", from_block=block, to_block=block, epoch=epoch) if block else []
        if not events:
            raise ChainError(f"epoch {epoch} was never proposed", hint="see next_epoch() for the number that is next")
        return _content(events[0])

    def contents(self, last: int) -> list[EpochContent]:
        """The same of every epoch up to number `last`, in order."""
        events = self._contract.logs("EpochProposed", from_block=self._first_block) if last else []
        return sorted((_content(event) for event in events if event["epoch"] <= last), key=lambda one: one.epoch)

    def locate(self, epoch: int, job_id: str) -> tuple[EpochContent, int]:
        """What an epoch says, and a job's line in it."""
        content = self.content(epoch)
        line = content.line(job_id)
        if line is None:
            raise ChainError(f"epoch {epoch} has no job {job_id}", hint="check the job id and the epoch")
        return content, line


def _content(event: dict[str, Any]) -> EpochContent:
    return EpochContent(event["epoch"], tuple(_job(job) for job in event["jobs"]))


def _job(job: Any) -> JobSettlement:
    return JobSettlement(
        job_id=enhex(job["jobId"]),
        amount=job["amount"],
        rewards_root=enhex(job["rewardsRoot"]),
        report_digest=enhex(job["reportDigest"]),
        traces_root=enhex(job["tracesRoot"]),
        trace_count=job["traceCount"],
        parent_policy=enhex(job["parentPolicy"]),
        new_policy=enhex(job["newPolicy"]),
    )

"""Epochs: proposed, open to challenge, final."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from r1net.chain.contract import BoundContract
from r1net.chain.models import EpochContent, EpochState, EpochStatus, JobSettlement, TxReceipt, enhex
from r1net.chain.sender import Sender
from r1net.errors import ChainError

LINES_AT_ONCE = 32
"""Jobs that are paid in one transaction: 32 tokens that burn all the gas they get stay below 2^24 together."""


class Settlement:
    """The Settlement contract. Times of epochs are told in its clock, see `clock`."""

    def __init__(self, address: str, sender: Sender) -> None:
        self.address = address
        self._contract = BoundContract("Settlement", address, sender)

    def propose(self, epoch: int, rewards_root: str, report_digest: str, jobs: Sequence[JobSettlement]) -> TxReceipt:
        """Propose the next epoch; reserves its money and opens the challenge window. Jobs may come in any order."""
        return self._contract.send("proposeEpoch", _sorted(epoch, rewards_root, report_digest, jobs).abi())

    def check(self, epoch: int, rewards_root: str, report_digest: str, jobs: Sequence[JobSettlement]) -> None:
        """Try a proposal without sending it. Raises Reverted with the reason for which it would be refused now."""
        self._contract.call("proposeEpoch", _sorted(epoch, rewards_root, report_digest, jobs).abi())

    def finalise(self, epoch: int) -> TxReceipt:
        """Make an epoch final after its window: pays the rewards contract and publishes the root.

        An epoch of many jobs is paid in parts, so that each transaction fits a block whatever its tokens burn.
        """
        content = self.content(epoch)
        if len(content.jobs) <= LINES_AT_ONCE:
            return self._contract.send("finaliseEpoch", content.abi())
        receipt = self._contract.send("finaliseInParts", content.abi(), LINES_AT_ONCE)
        while self.paying_epoch() == epoch:
            receipt = self._contract.send("finaliseInParts", content.abi(), LINES_AT_ONCE)
        return receipt

    def paying_epoch(self) -> int:
        """The final epoch whose lines are not all paid yet; 0 if there is none."""
        return int(self._contract.call("payingEpoch"))

    def bond_of(self, epoch: int) -> int:
        """R1 in wei that the epoch's proposer has locked for it."""
        return int(self._contract.call("standOf", epoch)[0])

    def bond_rate(self, token: str) -> int:
        """R1 in wei for 1e18 of a token's smallest units that an epoch reserves."""
        return int(self._contract.call("bondRate", token))

    def is_suspended(self, settler: str) -> bool:
        """Whether a settler was convicted and not reinstated."""
        return bool(self._contract.call("suspended", settler))

    def unwind(self, epoch: int) -> TxReceipt:
        """Give a rejected epoch's reserves back to its jobs."""
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
        """What the chain keeps of an epoch, and its rewards root from the event that announced it; as it was `depth`
        blocks ago.

        Status NONE if it was never proposed.
        """
        commitment, proposer, finalisable_at, block, disputes, status = self._contract.call(
            "epochOf", epoch, depth=depth
        )
        content = self._announced(epoch, block) if block else None
        return EpochState(
            epoch=epoch,
            status=EpochStatus(status),
            rewards_root=content.rewards_root if content else enhex(bytes(32)),
            commitment=enhex(commitment),
            proposer=proposer,
            finalisable_at=finalisable_at,
            proposed_block=block,
            disputes=disputes,
            report_digest=content.report_digest if content else "",
        )

    def clock(self) -> int:
        """Unix time less all seconds that settlement was paused for: what its deadlines are told in."""
        return int(self._contract.call("clock"))

    def content(self, epoch: int) -> EpochContent:
        """All that an epoch says, from the event that announced it."""
        return self._announced(epoch, self._contract.call("epochOf", epoch)[3])

    def _announced(self, epoch: int, block: int) -> EpochContent:
        events = self._contract.logs("EpochProposed", from_block=block, to_block=block, epoch=epoch) if block else []
        if not events:
            raise ChainError(f"epoch {epoch} was never proposed", hint="see next_epoch() for the number that is next")
        return _content(events[0])


def _sorted(epoch: int, rewards_root: str, report_digest: str, jobs: Sequence[JobSettlement]) -> EpochContent:
    return EpochContent(epoch, rewards_root, report_digest, tuple(sorted(jobs, key=lambda job: job.job_id.lower())))


def _content(event: dict[str, Any]) -> EpochContent:
    return EpochContent(
        epoch=event["epoch"],
        rewards_root=enhex(event["rewardsRoot"]),
        report_digest=enhex(event["reportDigest"]),
        jobs=tuple(_job(job) for job in event["jobs"]),
    )


def _job(job: Any) -> JobSettlement:
    return JobSettlement(
        job_id=enhex(job["jobId"]),
        amount=job["amount"],
        traces_root=enhex(job["tracesRoot"]),
        trace_count=job["traceCount"],
        parent_policy=enhex(job["parentPolicy"]),
        new_policy=enhex(job["newPolicy"]),
    )

"""Claims against the pots of paid lines."""

from __future__ import annotations

from collections.abc import Sequence

from r1net.chain.contract import BoundContract
from r1net.chain.models import RewardClaim, TxReceipt, enhex, unhex
from r1net.chain.sender import Price, Sender


class Rewards:
    """The Rewards contract: a pot for each line that was paid, which pays out no more than it got. Anyone can claim for
    an account; the money goes to the account."""

    def __init__(self, address: str, sender: Sender, first_block: int) -> None:
        self.address = address
        self._contract = BoundContract("Rewards", address, sender)
        self._first_block = first_block

    def claim(self, claim: RewardClaim) -> TxReceipt:
        """Pay an account what one line owes it. Repeating a claim pays nothing, without an error."""
        return self._contract.send("claim", claim.abi())

    def claim_price(self, claims: Sequence[RewardClaim], by: str) -> Price:
        """What it would take an account to send `claim_many` now."""
        data = self._contract.encode("claimMany", [claim.abi() for claim in claims])
        return self._contract.sender.price(self.address, data, by=by)

    def claim_many(self, claims: Sequence[RewardClaim]) -> TxReceipt:
        """Several claims in one transaction; those already paid, or held, are passed over."""
        return self._contract.send("claimMany", [claim.abi() for claim in claims])

    def paid(self, receipt: TxReceipt) -> int:
        """What a claim's transaction paid in all; 0 if everything had been paid before."""
        return sum(int(event["amount"]) for event in self._contract.events(receipt, "RewardPaid"))

    def paid_lines(self, account: str) -> set[tuple[int, str]]:
        """The lines, each as (epoch, job), that have paid an account."""
        found = self._contract.logs("RewardPaid", from_block=self._first_block, account=account)
        return {(int(event["epoch"]), enhex(event["jobId"])) for event in found}

    def is_claimed(self, epoch: int, job_id: str, root: str, index: int) -> bool:
        """Whether a leaf was paid, or forfeited."""
        return bool(self._contract.call("isClaimed", epoch, unhex(job_id), unhex(root), index))

    def is_held(self, epoch: int, job_id: str, root: str, index: int) -> bool:
        """Whether a leaf can't be claimed while a trace of its owner's is disputed."""
        return bool(self._contract.call("isHeld", epoch, unhex(job_id), unhex(root), index))

    def left(self, epoch: int, job_id: str, root: str) -> int:
        """What a line's pot still holds; 0 where there is none."""
        return int(self._contract.call("leftOf", epoch, unhex(job_id), unhex(root)))

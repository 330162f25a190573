"""Claims against the newest final root."""

from __future__ import annotations

from collections.abc import Sequence

from r1net.chain.contract import BoundContract
from r1net.chain.models import RewardClaim, TxReceipt, enhex, unhex
from r1net.chain.sender import Sender


class Rewards:
    """The Rewards contract. Anyone can claim for an account; the money goes to the account."""

    def __init__(self, address: str, sender: Sender) -> None:
        self.address = address
        self._contract = BoundContract("Rewards", address, sender)

    def claim(self, token: str, account: str, cumulative: int, proof: Sequence[str]) -> TxReceipt:
        """Pay an account what its leaf grants beyond what it has. Repeating a claim pays nothing, without an error."""
        return self._contract.send("claim", token, account, cumulative, [unhex(node) for node in proof])

    def claim_many(self, claims: Sequence[RewardClaim]) -> TxReceipt:
        """Several claims in one transaction; those already paid are passed over."""
        rows = [(one.token, one.account, one.cumulative, [unhex(node) for node in one.proof]) for one in claims]
        return self._contract.send("claimMany", rows)

    def paid(self, receipt: TxReceipt) -> int:
        """What a claim's transaction paid in all; 0 if everything had been paid before."""
        return sum(int(event["amount"]) for event in self._contract.events(receipt, "RewardPaid"))

    def claimed(self, token: str, account: str) -> int:
        """What an account has been paid so far."""
        return int(self._contract.call("claimed", token, account))

    def root(self) -> str:
        """The newest final root; zero before the first epoch is final."""
        return enhex(self._contract.call("root"))

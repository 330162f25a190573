"""Decisions of the R1 holders: proposed, voted on, queued in the timelock, executed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eth_hash.auto import keccak

from r1net.chain.contract import BoundContract
from r1net.chain.models import TxReceipt
from r1net.chain.sender import Sender


class ProposalState(IntEnum):
    """The life of a proposal."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


class Vote(IntEnum):
    """A vote."""

    AGAINST = 0
    FOR = 1
    ABSTAIN = 2


@dataclass(frozen=True)
class Proposal:
    """One call that governance shall make, and why."""

    target: str
    data: bytes
    description: str

    def abi(self) -> tuple[list[str], list[int], list[bytes], bytes]:
        """As queue and execute take it."""
        return ([self.target], [0], [self.data], keccak(self.description.encode()))


class Governance:
    """R1Governor and R1Timelock. Votes count only once they are delegated (`chain.token.delegate`)."""

    def __init__(self, governor: str, timelock: str, sender: Sender, contracts: dict[str, str]) -> None:
        self.governor = BoundContract("R1Governor", governor, sender)
        self.timelock = BoundContract("R1Timelock", timelock, sender)
        self._sender = sender
        self._contracts = contracts

    def draft(self, contract: str, function: str, *arguments: Any, description: str) -> Proposal:
        """A proposal to call `contract.function(arguments)`, the contract by its Solidity name."""
        target = BoundContract(contract, self._contracts[contract], self._sender)
        return Proposal(target.address, target.encode(function, *arguments), description)

    def propose(self, proposal: Proposal) -> int:
        """Put a proposal to the vote. Returns its number."""
        lists = ([proposal.target], [0], [proposal.data])
        receipt = self.governor.send("propose", *lists, proposal.description)
        return int(self.governor.event(receipt, "ProposalCreated")["proposalId"])

    def vote(self, proposal_id: int, vote: Vote) -> TxReceipt:
        """Cast the account's votes."""
        return self.governor.send("castVote", proposal_id, int(vote))

    def queue(self, proposal: Proposal) -> TxReceipt:
        """Hand a proposal that has passed to the timelock."""
        return self.governor.send("queue", *proposal.abi())

    def execute(self, proposal: Proposal) -> TxReceipt:
        """Run a queued proposal after the timelock's delay."""
        return self.governor.send("execute", *proposal.abi())

    def state(self, proposal_id: int) -> ProposalState:
        """Where a proposal stands."""
        return ProposalState(self.governor.call("state", proposal_id))

"""Pay for a trace that the court has in hand: held while it is disputed, back to its job once it is convicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from r1net.chain.contract import BoundContract
from r1net.chain.models import RewardClaim, TxReceipt, unhex
from r1net.chain.sender import Sender
from r1net.chain.settlement import Settlement


@dataclass(frozen=True)
class PaidTrace:
    """A trace in a line, and the leaf by which that line pays the owner who answers for its worker."""

    digest: str
    worker: str
    proof: tuple[str, ...]
    leaf: RewardClaim


class Restitution:
    """The Restitution contract. Anyone may take each step; what the court says decides."""

    def __init__(self, address: str, sender: Sender, settlement: Settlement) -> None:
        self.address = address
        self._contract = BoundContract("Restitution", address, sender)
        self._settlement = settlement

    def hold(self, paid: PaidTrace) -> TxReceipt:
        """Keep a leaf from being claimed while its trace is disputed."""
        return self._contract.send("hold", *self._arguments(paid))

    def release(self, paid: PaidTrace) -> TxReceipt:
        """Let a held leaf be claimed again: its trace is neither disputed nor convicted any more."""
        return self._contract.send("release", *self._arguments(paid))

    def forfeit(self, paid: PaidTrace) -> TxReceipt:
        """Give a leaf's amount back to the job: its trace is convicted. What was claimed before stays paid."""
        return self._contract.send("forfeit", *self._arguments(paid))

    def _arguments(self, paid: PaidTrace) -> tuple[Any, ...]:
        leaf = paid.leaf
        content, line = self._settlement.locate(leaf.epoch, leaf.job_id)
        return (
            content.abi(),
            line,
            (unhex(paid.digest), paid.worker),
            [unhex(node) for node in paid.proof],
            (leaf.index, leaf.account, leaf.amount),
            [unhex(node) for node in leaf.proof],
        )

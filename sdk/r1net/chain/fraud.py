"""Fraud that proves itself: two signed statements, or one trace counted twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount

from r1net.chain.contract import BoundContract
from r1net.chain.models import TxReceipt, enhex, unhex
from r1net.chain.registry import RECORD_GAS
from r1net.chain.sender import Sender
from r1net.chain.settlement import Settlement
from r1net.errors import ChainError

_STATEMENT = {"EpochStatement": [{"name": "epoch", "type": "uint256"}, {"name": "commitment", "type": "bytes32"}]}


@dataclass(frozen=True)
class Statement:
    """What a settler announced off chain: an epoch's commitment, signed."""

    epoch: int
    commitment: str
    signature: str


@dataclass(frozen=True)
class CountedTrace:
    """Where a trace was counted, with its Merkle proof."""

    job_id: str
    epoch: int
    proof: Sequence[str]


class FraudProofs:
    """The FraudProofs contract. Whoever proves fraud gets half of the penalty; the rest is burned."""

    def __init__(self, address: str, sender: Sender, settlement: Settlement) -> None:
        self.address = address
        self._contract = BoundContract("FraudProofs", address, sender)
        self._settlement = settlement
        self._sender = sender

    def sign_statement(self, key: LocalAccount, epoch: int, commitment: str) -> Statement:
        """Announce an epoch. Never sign two commitments for one epoch: that is what gets punished."""
        signed = key.sign_message(self._message(epoch, commitment))
        return Statement(epoch, commitment, enhex(signed.signature))

    def prove_equivocation(self, first: Statement, second: Statement) -> TxReceipt:
        """Two different commitments that one settler signed for one epoch."""
        if first.epoch != second.epoch:
            raise ChainError("the statements are on different epochs", hint="both must be on one epoch")
        one, two = (
            (unhex(first.commitment), unhex(first.signature)),
            (unhex(second.commitment), unhex(second.signature)),
        )
        return self._contract.send("proveEquivocation", first.epoch, *one, *two, spare=RECORD_GAS)

    def prove_contradiction(self, statement: Statement) -> TxReceipt:
        """A signed statement that differs from what its signer proposed on chain."""
        commitment, signature = unhex(statement.commitment), unhex(statement.signature)
        return self._contract.send("proveContradiction", statement.epoch, commitment, signature, spare=RECORD_GAS)

    def prove_double_count(self, trace_digest: str, first: CountedTrace, second: CountedTrace) -> TxReceipt:
        """One trace counted in two jobs or two epochs, in any order."""
        earlier, later = sorted((first, second), key=lambda counted: counted.epoch)
        return self._contract.send(
            "proveDoubleCount", unhex(trace_digest), self._counted(earlier), self._counted(later)
        )

    def penalty(self) -> int:
        """What a proved fraud costs, in wei of R1."""
        return int(self._contract.call("penalty"))

    def _counted(self, counted: CountedTrace) -> tuple[Any, int, list[bytes]]:
        content, line = self._settlement.locate(counted.epoch, counted.job_id)
        return (content.abi(), line, [unhex(node) for node in counted.proof])

    def _message(self, epoch: int, commitment: str) -> SignableMessage:
        chain_id = self._sender.read(lambda: self._sender.w3.eth.chain_id)
        return encode_typed_data(
            domain_data={
                "name": "r1net FraudProofs",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": self.address,
            },
            message_types=_STATEMENT,
            message_data={"epoch": epoch, "commitment": unhex(commitment)},
        )

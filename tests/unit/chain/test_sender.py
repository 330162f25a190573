"""Sending: what is repeated, what is not, and which nonce is used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account
from requests.exceptions import ConnectionError as NoConnection
from web3.exceptions import TransactionNotFound, Web3RPCError

from r1net.chain import sender as sender_module
from r1net.chain.models import TxReceipt
from r1net.chain.reasons import Reverted
from r1net.chain.sender import Sender
from r1net.errors import ChainError, ChainUnavailable, TransactionPending

ACCOUNT = Account.from_key(b"\x07" * 32)
TARGET = "0x" + "11" * 20


class FakeEth:
    """A chain of one account that takes every transaction, unless told to fail."""

    def __init__(self) -> None:
        self.chain_id = 31337
        self.max_priority_fee = 1
        self.next_nonce = 5
        self.taken = 0
        self.sent: list[bytes] = []
        self.failures: list[Exception] = []
        self.status = 1
        self.mined = True
        self.replays: list[Any] = []

    def estimate_gas(self, fields: dict[str, Any]) -> int:
        return 100_000

    def get_block(self, which: str) -> dict[str, int]:
        return {"baseFeePerGas": 10}

    def get_transaction_count(self, address: str, state: str) -> int:
        return max(self.next_nonce, self.taken + 1)

    def send_raw_transaction(self, raw: bytes) -> bytes:
        self.sent.append(bytes(raw))
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or "already known" in str(failure):
            self.taken = nonces(self)[-1]
        if failure is not None:
            raise failure
        return b""

    def get_transaction(self, tx_hash: bytes) -> None:
        raise TransactionNotFound("no such transaction")

    def get_transaction_receipt(self, tx_hash: bytes) -> dict[str, Any]:
        if not self.mined:
            raise TransactionNotFound("not mined")
        return {"status": self.status, "blockNumber": 9, "gasUsed": 50, "effectiveGasPrice": 2, "logs": []}

    def call(self, fields: dict[str, Any], block: int) -> bytes:
        self.replays.append(block)
        return b""


@pytest.fixture
def eth() -> FakeEth:
    return FakeEth()


@pytest.fixture
def sender(eth: FakeEth, monkeypatch: pytest.MonkeyPatch) -> Sender:
    monkeypatch.setattr(sender_module, "FIRST_PAUSE", 0.0)
    return Sender(SimpleNamespace(eth=eth), ACCOUNT)  # type: ignore[arg-type]


def rpc_error(message: str) -> Web3RPCError:
    return Web3RPCError(
        message, rpc_response={"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": message}}
    )


def nonces(eth: FakeEth) -> list[int]:
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from hexbytes import HexBytes

    return [TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["nonce"] for raw in eth.sent]


def test_nonces_are_counted_here(sender: Sender, eth: FakeEth) -> None:
    receipts = [sender.send(TARGET, b"") for _ in range(3)]
    assert nonces(eth) == [5, 6, 7]
    assert receipts[0] == TxReceipt(receipts[0].tx_hash, 9, 50, 100, ())


def test_the_same_signed_transaction_is_repeated(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [NoConnection(), NoConnection()]
    sender.send(TARGET, b"")
    assert len(eth.sent) == 3
    assert len(set(eth.sent)) == 1


def test_known_already_means_sent(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [NoConnection(), rpc_error("already known")]
    sender.send(TARGET, b"")
    sender.send(TARGET, b"")
    assert nonces(eth) == [5, 5, 6]


def test_a_stale_nonce_is_fetched_anew(sender: Sender, eth: FakeEth) -> None:
    sender.send(TARGET, b"")
    eth.next_nonce = 9
    eth.failures = [rpc_error("nonce too low")]
    sender.send(TARGET, b"")
    assert nonces(eth) == [5, 6, 9]


def test_nonces_that_the_chain_took_back_are_used_again(
    sender: Sender, eth: FakeEth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("r1net.chain.outbox.CATCHING_UP", 0.0)
    for _ in range(3):
        sender.send(TARGET, b"")
    eth.taken = 5
    sender.send(TARGET, b"")
    assert nonces(eth) == [5, 6, 7, 6], "a gap would hold up everything"


def test_a_nonce_that_keeps_changing_is_given_up(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [rpc_error("nonce too low")] * 3
    with pytest.raises(ChainError, match="another process"):
        sender.send(TARGET, b"")


def test_no_answer_is_unavailable_and_the_same_again_is_the_same_transaction(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [NoConnection()] * sender_module.RETRIES
    with pytest.raises(ChainUnavailable, match="does not answer"):
        sender.send(TARGET, b"")
    sender.send(TARGET, b"")
    assert len(set(eth.sent)) == 1
    sender.send(TARGET, b"")
    assert nonces(eth)[-2:] == [5, 6]


def test_no_answer_leaves_no_gap_in_the_nonces(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [NoConnection()] * sender_module.RETRIES
    with pytest.raises(ChainUnavailable):
        sender.send(TARGET, b"")
    sender.send(TARGET, b"other")
    assert nonces(eth)[-1] == 5


def test_an_account_without_coins_is_told_so(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [rpc_error("insufficient funds for gas * price + value")]
    with pytest.raises(ChainError, match="cannot pay for gas"):
        sender.send(TARGET, b"")


def test_other_refusals_are_passed_on(sender: Sender, eth: FakeEth) -> None:
    eth.failures = [rpc_error("oversized data")]
    with pytest.raises(ChainError, match="oversized data"):
        sender.send(TARGET, b"")


def test_not_mined_in_time(sender: Sender, eth: FakeEth) -> None:
    eth.mined = False
    sender.timeout = 0.1
    with pytest.raises(TransactionPending, match="not mined within"):
        sender.send(TARGET, b"")


def test_a_mined_failure_is_replayed(sender: Sender, eth: FakeEth) -> None:
    eth.status = 0
    with pytest.raises(Reverted, match="passes now"):
        sender.send(TARGET, b"")
    assert eth.replays == [9, 8]


def test_reading_needs_no_account_but_sending_does(eth: FakeEth) -> None:
    with pytest.raises(ChainError, match="read-only"):
        Sender(SimpleNamespace(eth=eth), None).send(TARGET, b"")  # type: ignore[arg-type]

"""Transactions that aren't mined, or whose answers are lost, on a real chain: replaced, recognised, never doubled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from eth_account import Account
from requests.exceptions import ConnectionError as NoConnection

from r1net.chain import Chain, TxReceipt
from r1net.errors import ChainUnavailable, TransactionPending
from tests.integration.waiting import until

from .conftest import Anvil

BOB, EVE = (Account.from_key(bytes([n]) * 32).address for n in (1, 2))
GWEI = 10**9


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def held(chain: Chain, anvil: Anvil) -> Chain:
    """A chain that mines only when told to, and a sender that soon loses patience."""
    anvil.rpc("evm_setAutomine", False)
    chain.sender.bump_after, chain.sender.timeout = 0.4, 1.0
    return chain


def in_pool(anvil: Anvil) -> list[dict[str, str]]:
    """Our transactions that wait to be mined."""
    content = anvil.rpc("txpool_content")["result"]
    return [entry for kind in content.values() for account in kind.values() for entry in account.values()]


def amounts(anvil: Anvil) -> list[int]:
    """What the waiting transfers would move."""
    return [int(entry["input"][-64:], 16) for entry in in_pool(anvil)]


def mined(anvil: Anvil, future: Future[TxReceipt]) -> TxReceipt:
    """Mine until the sender has its receipt."""

    def done() -> bool:
        anvil.rpc("evm_mine")
        return future.done()

    until(done)
    return future.result()


def count(chain: Chain) -> int:
    assert chain.account is not None
    return int(chain.sender.w3.eth.get_transaction_count(chain.account.address))


def test_a_transaction_below_the_base_fee_is_replaced_at_its_nonce(
    held: Chain, anvil: Anvil, pool: ThreadPoolExecutor
) -> None:
    held.sender.timeout = 30.0
    before = count(held)
    future = pool.submit(held.token.transfer, BOB, 7)
    first = until(lambda: in_pool(anvil))[0]
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(int(first["maxFeePerGas"], 16) + 50 * GWEI))
    anvil.rpc("evm_mine")
    assert held.token.balance(BOB) == 0, "too cheap for this block"
    dearer = until(lambda: [entry for entry in in_pool(anvil) if entry["hash"] != first["hash"]])
    assert [entry["nonce"] for entry in in_pool(anvil)] == [first["nonce"]], "replaced, with nothing behind it"
    for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert int(dearer[0][fee], 16) * 8 >= int(first[fee], 16) * 9
    mined(anvil, future)
    assert (held.token.balance(BOB), count(held)) == (7, before + 1)


def test_fees_stop_rising_at_the_cap(held: Chain, anvil: Anvil) -> None:
    held.sender.fee_cap, held.sender.timeout = 4 * GWEI, 4.0
    with pytest.raises(TransactionPending, match="not mined within"):
        held.token.transfer(BOB, 7)
    (stuck,) = in_pool(anvil)
    assert GWEI < int(stuck["maxFeePerGas"], 16) <= 4 * GWEI
    anvil.rpc("evm_mine")
    assert held.token.balance(BOB) == 7


def test_a_retry_takes_up_what_was_not_mined_in_time(held: Chain, anvil: Anvil, pool: ThreadPoolExecutor) -> None:
    for _ in range(3):
        with pytest.raises(TransactionPending):
            held.token.transfer(BOB, 7)
    assert len(in_pool(anvil)) == 1, "no retry queues behind it"
    mined(anvil, pool.submit(held.token.transfer, BOB, 7))
    assert held.token.balance(BOB) == 7
    mined(anvil, pool.submit(held.token.transfer, BOB, 7))
    assert held.token.balance(BOB) == 14, "what is known to be mined isn't a retry"


def test_a_retry_after_it_was_mined_brings_the_receipt(held: Chain, anvil: Anvil) -> None:
    with pytest.raises(TransactionPending):
        held.token.transfer(BOB, 7)
    anvil.rpc("evm_mine")
    receipt = held.token.transfer(BOB, 7)
    assert receipt.block == held.sender.w3.eth.block_number
    assert held.token.balance(BOB) == 7


def test_what_comes_next_takes_the_nonce_of_what_was_given_up(
    held: Chain, anvil: Anvil, pool: ThreadPoolExecutor
) -> None:
    before = count(held)
    with pytest.raises(TransactionPending):
        held.token.transfer(BOB, 7)
    future = pool.submit(held.token.transfer, EVE, 9)
    until(lambda: amounts(anvil) == [9])
    mined(anvil, future)
    assert (held.token.balance(BOB), held.token.balance(EVE), count(held)) == (0, 9, before + 1)
    mined(anvil, pool.submit(held.token.transfer, BOB, 7))
    assert (held.token.balance(BOB), count(held)) == (7, before + 2)


@pytest.mark.parametrize("automine", [True, False])
def test_a_lost_answer_is_not_sent_twice(
    chain: Chain, anvil: Anvil, monkeypatch: pytest.MonkeyPatch, automine: bool, pool: ThreadPoolExecutor
) -> None:
    anvil.rpc("evm_setAutomine", automine)
    deliver, before = chain.sender.w3.eth.send_raw_transaction, count(chain)

    def lossy(raw: bytes) -> None:
        deliver(raw)
        raise NoConnection

    with monkeypatch.context() as patch:
        patch.setattr("r1net.chain.sender.FIRST_PAUSE", 0.01)
        patch.setattr(chain.sender.w3.eth, "send_raw_transaction", lossy)
        if automine:  # the repetition is told that the nonce is used, and finds its own transaction
            chain.token.transfer(BOB, 7)
        else:
            pending = pool.submit(chain.token.transfer, BOB, 7)
            until(lambda: in_pool(anvil))
            mined(anvil, pending)
    assert (chain.token.balance(BOB), count(chain)) == (7, before + 1)


def test_an_endpoint_that_dies_in_the_middle_does_not_double(
    held: Chain, anvil: Anvil, monkeypatch: pytest.MonkeyPatch, pool: ThreadPoolExecutor
) -> None:
    def dead(*_: Any, **__: Any) -> None:
        raise NoConnection

    monkeypatch.setattr("r1net.chain.sender.FIRST_PAUSE", 0.01)
    deliver, before = held.sender.w3.eth.send_raw_transaction, count(held)

    def dying(raw: bytes) -> None:
        deliver(raw)
        for name in ("send_raw_transaction", "get_transaction", "get_transaction_receipt", "get_transaction_count"):
            monkeypatch.setattr(held.sender.w3.eth, name, dead)
        raise NoConnection

    with monkeypatch.context() as patch:
        patch.setattr(held.sender.w3.eth, "send_raw_transaction", dying)
        with pytest.raises(ChainUnavailable):
            held.token.transfer(BOB, 7)
    monkeypatch.undo()
    mined(anvil, pool.submit(held.token.transfer, BOB, 7))
    assert (held.token.balance(BOB), count(held)) == (7, before + 1)


def test_a_new_process_replaces_what_the_old_one_left_stuck(
    held: Chain, anvil: Anvil, pool: ThreadPoolExecutor
) -> None:
    before = count(held)
    with pytest.raises(TransactionPending):
        held.token.transfer(BOB, 7)
    again = Chain.connect(anvil.url, held.deployment, held.account)
    again.sender.bump_after = 0.4
    future = pool.submit(again.token.transfer, EVE, 9)
    until(lambda: amounts(anvil) == [9])
    mined(anvil, future)
    assert (held.token.balance(BOB), held.token.balance(EVE), count(held)) == (0, 9, before + 1)


def test_a_new_process_waits_for_what_is_being_mined(held: Chain, anvil: Anvil, pool: ThreadPoolExecutor) -> None:
    with pytest.raises(TransactionPending):
        held.token.transfer(BOB, 7)
    again = Chain.connect(anvil.url, held.deployment, held.account)
    again.sender.bump_after = 5.0
    future = pool.submit(again.token.transfer, EVE, 9)
    time.sleep(1.0)
    assert amounts(anvil) == [7], "it may just be on its way"
    anvil.rpc("evm_mine")
    until(lambda: amounts(anvil) == [9])
    mined(anvil, future)
    assert (held.token.balance(BOB), held.token.balance(EVE)) == (7, 9)

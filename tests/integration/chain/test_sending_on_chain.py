"""Sending under load, beside other senders, and while the chain is away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from r1net import Client
from r1net.chain import Chain, Reverted
from r1net.errors import ChainError, ChainUnavailable, Unreachable
from r1net.refunds import Refund

from .conftest import COIN, TEST_PARAMETERS, Anvil

BOB = "0x000000000000000000000000000000000000b0b0"


def bob() -> str:
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(BOB))


def test_threads_share_one_account(chain: Chain) -> None:
    with ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(lambda _: chain.token.transfer(bob(), COIN), range(32)))
    assert len({receipt.tx_hash for receipt in receipts}) == 32
    assert chain.token.balance(bob()) == 32 * COIN


def test_two_processes_with_one_account_get_through(chain: Chain, anvil: Anvil) -> None:
    other = Chain.connect(anvil.url, chain.deployment, chain.account)
    for _ in range(3):
        chain.token.transfer(bob(), 1)
        other.token.transfer(bob(), 1)
    assert chain.token.balance(bob()) == 6


def test_a_chain_that_is_away_is_unavailable(chain: Chain, anvil: Anvil) -> None:
    anvil.process.terminate()
    anvil.process.wait(timeout=10)
    with pytest.raises(ChainUnavailable, match="does not answer"):
        chain.token.balance(bob())
    with pytest.raises(ChainUnavailable):
        chain.token.transfer(bob(), 1)


def test_a_mined_revert_is_explained(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the state changes between estimate and block."""
    monkeypatch.setattr(chain.sender.w3.eth, "estimate_gas", lambda fields: 200_000)
    with pytest.raises(Reverted, match="holds") as refused:
        chain.token.transfer(bob(), 10**30)
    assert refused.value.name == "ERC20InsufficientBalance"


def test_an_account_without_coin_is_told_so(chain: Chain, anvil: Anvil) -> None:
    from eth_account import Account

    poor = Chain.connect(anvil.url, chain.deployment, Account.create())
    with pytest.raises(ChainError, match=r"pay for gas|insufficient funds"):
        poor.token.approve(bob(), 1)


def test_a_read_only_connection_sends_nothing(chain: Chain, anvil: Anvil) -> None:
    reader = Chain.connect(anvil.url, chain.deployment)
    assert reader.token.total_supply() > 0
    with pytest.raises(ChainError, match="read-only"):
        reader.token.transfer(bob(), 1)
    with pytest.raises(ChainError, match="read-only"):
        reader.registry.register(1)
    with pytest.raises(ChainError, match="read-only"):
        reader.escrow.create_job(reader.token.address, 1, 1, "0x" + "00" * 32)


def test_a_job_is_found_by_who_created_it_and_for_what(chain: Chain, node: Chain) -> None:
    """What a submitter's machine forgot, the chain knows; another's job with the same specification is another's."""
    spec, token = "0x" + "5e" * 32, chain.token.address
    assert chain.escrow.find_job(submitter(chain), spec, 0) is None
    first = chain.escrow.create_job(token, COIN, COIN, spec)
    node.escrow.create_job(token, COIN, COIN, spec)
    chain.escrow.create_job(token, COIN, COIN, "0x" + "00" * 32)
    assert chain.escrow.find_job(submitter(chain), spec, 0) == first
    later = chain.head() + 1
    assert chain.escrow.find_job(submitter(chain), spec, later) is None
    again = chain.escrow.create_job(token, COIN, COIN, spec)
    assert chain.escrow.find_job(submitter(chain), spec, later) == again
    assert chain.escrow.find_job(submitter(chain), spec, 0) == again


def test_a_run_brings_its_refund(chain: Chain, anvil: Anvil) -> None:
    client = Client("http://127.0.0.1:1", account=chain.account)
    client.__dict__["chain"] = chain
    run = client.run(chain.escrow.create_job(chain.token.address, 5 * COIN, COIN, "0x" + "00" * 32))
    run.top_up("2.5 R1")
    with pytest.raises(Unreachable):
        run.refund()  # whether the job is over only its coordinator knows
    run.cancel()
    early = run.refund()
    assert early.returned == 0
    assert early.due == pytest.approx(chain.now() + TEST_PARAMETERS.close_grace, abs=5)
    anvil.pass_time(TEST_PARAMETERS.close_grace)
    assert run.refund() == Refund(75 * COIN // 10)
    assert run.refund() == Refund(0), "all is back"


def submitter(chain: Chain) -> str:
    assert chain.account is not None
    return str(chain.account.address)


def test_a_wrong_url_is_unavailable(chain: Chain) -> None:
    with pytest.raises(ChainUnavailable):
        Chain.connect("http://127.0.0.1:9", chain.deployment)

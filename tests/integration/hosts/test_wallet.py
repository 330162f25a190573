"""Money on its way out of a host's wallet, and its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from typer.testing import CliRunner

from r1net.chain import Chain, TxReceipt, load_keystore
from r1net.chain.artifacts import Artifact
from r1net.chain.sender import Sender
from r1net.errors import ChainError, KeyFileError, UsageError
from r1node.cli.main import app
from tests.e2e.harness.processes import at_a_terminal
from tests.integration.chain.conftest import ARTIFACTS, COIN
from tests.integration.hosts.host import STAKE, Host

TO = Account.from_key("0x" + "42" * 32).address


def test_r1_and_all_the_coin_go_to_another_address(newcomer: Host) -> None:
    chain, owner = newcomer.chain, newcomer.owner.address
    shown = newcomer.ask("wallet")
    assert (int(shown["r1_balance"]), int(shown["gas_balance"])) == (1_200 * COIN, 100 * COIN)
    before = chain.token.balance(TO), chain.coin_balance(TO)
    sent = newcomer.ask("wallet", "send", TO, "200.5 R1", "--yes")
    assert int(sent["amount"]) == 2_005 * COIN // 10 == chain.token.balance(TO) - before[0]
    newcomer.ask("wallet", "send", TO, "all R1", "--yes")
    assert chain.token.balance(owner) == 0
    left = chain.coin_balance(owner)
    sent = newcomer.ask("wallet", "send", TO, "all coin", "--yes")
    assert int(sent["amount"]) == chain.coin_balance(TO) - before[1]
    assert int(sent["amount"]) + int(sent["gas"]) + chain.coin_balance(owner) == left
    assert chain.coin_balance(owner) < left / 1_000
    with pytest.raises(ChainError, match=r"holds .* coin, and 5 are wanted|cannot pay|gas"):
        newcomer.ask("wallet", "send", TO, "5 coin", "--yes")


def test_what_was_cut_off_is_not_sent_twice(newcomer: Host, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the transaction and its receipt: it is mined, and nobody told the host."""

    def cut(sender: Sender, *arguments: Any, **rest: Any) -> TxReceipt:
        send(sender, *arguments, **rest)
        raise KeyboardInterrupt

    send = Sender.send
    before = chain.token.balance(TO)
    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", cut)
        CliRunner().invoke(app, [*newcomer.options, "wallet", "send", TO, "20 R1", "--yes"])
    with pytest.raises(UsageError, match="may have been sent"):
        newcomer.ask("wallet", "send", TO, "20 R1", "--yes")
    assert chain.token.balance(TO) - before == 20 * COIN
    newcomer.ask("wallet", "send", TO, "30 R1", "--yes")
    newcomer.ask("wallet", "send", TO, "20 R1", "--yes", "--again")
    newcomer.ask("wallet", "send", TO, "20 R1", "--yes")
    assert chain.token.balance(TO) - before == 90 * COIN


def test_what_the_chain_refused_was_not_sent(newcomer: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> TxReceipt:
        raise ChainError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "send", refused)
        with pytest.raises(ChainError, match="no"):
            newcomer.ask("wallet", "send", TO, "20 R1", "--yes")
    newcomer.ask("wallet", "send", TO, "20 R1", "--yes")


def test_another_token_goes_by_its_address(newcomer: Host, chain: Chain) -> None:
    """A second R1Token stands for any ERC-20."""
    code = Artifact.load(ARTIFACTS, "R1Token").creation_code
    made = newcomer.chain.sender.send(None, code + encode(["address", "uint256"], [newcomer.owner.address, 10 * COIN]))
    assert made.contract is not None
    newcomer.ask("wallet", "send", TO, f"2.5 {made.contract}", "--yes")
    assert chain.erc20(made.contract).balance(TO) == 25 * COIN // 10
    with pytest.raises(ChainError, match="can't be read"):
        newcomer.ask("wallet", "send", TO, f"2.5 {TO}", "--yes")


def test_money_isnt_sent_where_it_is_lost_or_unasked(newcomer: Host) -> None:
    registry = newcomer.chain.registry.address
    for to, amount, words in (
        (TO.lower(), "1 R1", "no address with a checksum"),
        ("0x" + "0" * 40, "1 R1", "lost"),
        (registry, "1 R1", "the network's NodeRegistry"),
        (newcomer.owner.address, "1 R1", "this wallet itself"),
        (TO, "1 ETH", "no amount"),
        (TO, "1.5", "no amount"),
    ):
        with pytest.raises(UsageError, match=words):
            newcomer.ask("wallet", "send", to, amount, "--yes")
    with pytest.raises(ChainError, match=r"holds 1,200 R1, and 1,200.1 are wanted"):
        newcomer.ask("wallet", "send", TO, "1200.1 R1", "--yes")
    with pytest.raises(UsageError, match="without a terminal"):
        newcomer.ask("wallet", "send", TO, "1 R1")
    assert newcomer.chain.token.balance(newcomer.owner.address) == 1_200 * COIN


def test_at_a_terminal_a_person_is_asked(newcomer: Host) -> None:
    assert "nothing was sent" in at_a_terminal("", newcomer.command("wallet", "send", TO, "1 R1"))
    assert newcomer.chain.token.balance(newcomer.owner.address) == 1_200 * COIN


def test_nothing_is_staked_by_a_machine_that_is_not_ready(newcomer: Host, chain: Chain) -> None:
    """No coordinator is in reach: the quick checks say so before anything is asked, or staked."""
    assert "does not answer" in at_a_terminal("y", newcomer.command("join"))
    assert chain.registry.stake_of(newcomer.owner.address) == 0


def test_the_key_leaves_under_a_new_password_alone(host: Host, tmp_path: Path) -> None:
    new, out = tmp_path / "new", tmp_path / "copy.json"
    new.write_text("another one\n")
    new.chmod(0o600)
    host.ask("wallet", "export", "--out", str(out), "--new-password-file", str(new))
    assert load_keystore(out, "another one").key == host.owner.key
    assert out.stat().st_mode & 0o077 == 0
    assert (json.loads(out.read_text())["version"], host.owner.key.hex() in out.read_text()) == (3, False)
    with pytest.raises(KeyFileError, match="exists already"):
        host.ask("wallet", "export", "--out", str(out), "--new-password-file", str(new))
    with pytest.raises(KeyFileError, match="no password"):
        host.ask("wallet", "export", "--out", str(tmp_path / "other.json"))
    assert int(host.ask("wallet")["stake"]) == STAKE

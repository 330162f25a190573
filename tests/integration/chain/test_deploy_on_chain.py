"""The deploy script can be repeated, completes what is missing, and refuses what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment, create_keystore
from r1net.chain.deploy import Accounts, deploy, main
from r1net.chain.deployer import GOVERNED
from r1net.chain.parameters import Parameters
from r1net.chain.sender import Sender
from r1net.chain.verify import role
from r1net.errors import ChainError

from .conftest import ARTIFACTS, COIN, DEPLOYER_KEY, TEST_PARAMETERS, Anvil


def trial(
    anvil: Anvil,
    deployer: LocalAccount,
    path: Path,
    parameters: Parameters = TEST_PARAMETERS,
    *,
    handover: bool = True,
) -> Deployment:
    """A deployment by one key, or the same once more."""
    return deploy(
        anvil.url,
        deployer,
        path,
        artifacts=ARTIFACTS,
        parameters=parameters,
        accounts=Accounts(one_key=True),
        handover=handover,
    )


def test_repeating_it_changes_nothing(
    anvil: Anvil, chain: Chain, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    before = chain.sender.w3.eth.block_number
    assert trial(anvil, deployer, tmp_path / "deployment.json") == deployment
    assert chain.sender.w3.eth.block_number == before


@pytest.mark.parametrize("lost", ["R1Governor", "Restitution", "Disputes", "NodeRegistry", "Settlement", "R1Token"])
def test_what_is_missing_is_completed(anvil: Anvil, deployer: LocalAccount, tmp_path: Path, lost: str) -> None:
    path = tmp_path / "deployment.json"
    first = trial(anvil, deployer, path, handover=False)
    kept = {name: address for name, address in first.contracts.items() if name != lost}
    first.model_copy(update={"contracts": kept}).save(path)
    second = trial(anvil, deployer, path)
    assert set(second.contracts) == set(first.contracts)
    assert second.contracts[lost] != first.contracts[lost]
    assert trial(anvil, deployer, path) == second


def test_a_fresh_chain_gets_a_fresh_deployment(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    anvil.rpc("anvil_reset")
    assert trial(anvil, deployer, tmp_path / "deployment.json").contracts.keys() == deployment.contracts.keys()


def test_foreign_code_is_refused(anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path) -> None:
    anvil.rpc("anvil_setCode", deployment.address("Provenance"), "0x6001")
    with pytest.raises(ChainError, match="Provenance on chain is not"):
        trial(anvil, deployer, tmp_path / "deployment.json")


def test_another_chains_file_is_refused(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    path = tmp_path / "deployment.json"
    deployment.model_copy(update={"chain_id": 5}).save(path)
    with pytest.raises(ChainError, match="describes chain 5"):
        trial(anvil, deployer, path)
    with pytest.raises(ChainError, match="serves chain 31337"):
        Chain.connect(anvil.url, Deployment.load(path))


def test_mixed_deployments_are_refused(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    first = trial(anvil, deployer, tmp_path / "one.json")
    second = trial(anvil, deployer, tmp_path / "two.json")
    mixed = dict(first.contracts) | {"Provenance": second.contracts["Provenance"]}
    first.model_copy(update={"contracts": mixed}).save(tmp_path / "one.json")
    with pytest.raises(ChainError, match=r"Provenance\.settlement is"):
        trial(anvil, deployer, tmp_path / "one.json")


def test_the_timelock_alone_is_admin(chain: Chain, deployer: LocalAccount) -> None:
    from r1net.chain.contract import BoundContract

    timelock = chain.deployment.address("R1Timelock")
    for name in (*GOVERNED, "R1Timelock"):
        contract = BoundContract(name, chain.deployment.address(name), chain.sender)
        assert contract.call("hasRole", bytes(32), timelock)
        assert not contract.call("hasRole", bytes(32), deployer.address)


def test_after_the_handover_roles_need_a_vote(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    with pytest.raises(ChainError, match="propose grantRole"):
        deploy(
            anvil.url,
            deployer,
            tmp_path / "deployment.json",
            artifacts=ARTIFACTS,
            parameters=TEST_PARAMETERS,
            accounts=Accounts((Account.create().address,), one_key=True),
        )


def test_uncompiled_contracts_name_the_next_step(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="forge build"):
        deploy(anvil.url, deployer, tmp_path / "deployment.json", artifacts=tmp_path, accounts=Accounts(one_key=True))


def test_the_command_line(anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file, out = tmp_path / "owner.json", tmp_path / "deployment.json"
    create_keystore(key_file, "secret", key=DEPLOYER_KEY, iterations=2)
    monkeypatch.setenv("R1_PASSWORD", "secret")
    common = ["deploy", "--rpc", anvil.url, "--key-file", str(key_file), "--out", str(out), "--one-key"]
    monkeypatch.setattr("sys.argv", [*common, "--artifacts", str(ARTIFACTS), "--challenge-window", "5"])
    main()
    found = Deployment.load(out)
    assert Chain.connect(anvil.url, found).settlement.challenge_window() == 5
    monkeypatch.setenv("R1_PASSWORD", "guess")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 4


def test_bad_parameters_are_refused_in_words(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="outside its bounds"):
        trial(anvil, deployer, tmp_path / "x.json", replace(TEST_PARAMETERS, challenge_window=0))


class _Crash(Exception):
    """The machine stops."""


def keys(count: int) -> tuple[str, ...]:
    return tuple(Account.create().address for _ in range(count))


def state_of(deployment: Deployment, anvil: Anvil, named: Accounts) -> list[object]:
    """What must come out the same however often the deployment was cut off, addresses of contracts aside."""
    chain = Chain.connect(anvil.url, deployment)
    assert named.treasury is not None
    return [
        sorted(deployment.contracts),
        deployment.parameters,
        [chain.registry.stake_of(settler) for settler in named.settlers],
        chain.token.balance(named.treasury),
    ]


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_after_a_crash_at_any_transaction_ends_in_the_same_state(
    every: int, anvil: Anvil, deployer: LocalAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sent, stop_at = Sender.send, 0, 10**9

    def counted(self: Sender, *args: Any, **kwargs: Any) -> Any:
        nonlocal sent
        sent += 1
        receipt = send(self, *args, **kwargs)
        if sent == stop_at:
            raise _Crash  # mined, but nobody noted it
        return receipt

    monkeypatch.setattr(Sender, "send", counted)
    named = Accounts(keys(2), *keys(2))

    def run(path: Path) -> Deployment:
        return deploy(anvil.url, deployer, path, artifacts=ARTIFACTS, parameters=TEST_PARAMETERS, accounts=named)

    expected = state_of(run(tmp_path / "whole.json"), anvil, named)
    total = sent
    for stop in range(1, total + 1, every):
        anvil.rpc("anvil_reset")
        sent, stop_at = 0, stop
        path = tmp_path / f"{stop}.json"
        with pytest.raises(_Crash):
            run(path)
        stop_at = 10**9
        found = run(path)
        assert state_of(found, anvil, named) == expected, f"cut off at transaction {stop} of {total}"
    assert total > 20


def test_three_keys_by_default(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    one, two, three = keys(3)
    for bad in (
        None,
        Accounts((one,), two),
        Accounts((one,), two, one),
        Accounts((one, two), two.lower(), three),
        Accounts((), two, three),
    ):
        with pytest.raises(ChainError, match=r"different keys|named as two"):
            deploy(anvil.url, deployer, tmp_path / "x.json", artifacts=ARTIFACTS, accounts=bad)


def test_who_was_not_named_holds_no_role(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    path, stranger = tmp_path / "deployment.json", keys(1)[0]
    first = trial(anvil, deployer, path, handover=False)
    from r1net.chain.client import open_sender
    from r1net.chain.contract import BoundContract

    sender = open_sender(anvil.url, deployer)
    settlement = BoundContract("Settlement", first.address("Settlement"), sender)
    settlement.send("grantRole", role("SETTLER_ROLE"), stranger)
    trial(anvil, deployer, path)
    assert not settlement.call("hasRole", role("SETTLER_ROLE"), stranger)
    anvil.rpc("anvil_impersonateAccount", first.address("R1Timelock"))
    anvil.fund(first.address("R1Timelock"))
    data = settlement.encode("grantRole", role("SETTLER_ROLE"), stranger)
    anvil.rpc(
        "eth_sendTransaction",
        {"from": first.address("R1Timelock"), "to": settlement.address, "data": "0x" + data.hex()},
    )
    with pytest.raises(ChainError, match=f"{stranger} holds SETTLER_ROLE on Settlement"):
        trial(anvil, deployer, path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cap_period", 99), ("bond_base", 7 * COIN), ("fraud_penalty", 1), ("quorum_percent", 5), ("timelock_delay", 1)],
)
def test_every_parameter_is_compared(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path, name: str, value: int
) -> None:
    with pytest.raises(ChainError, match=rf"is .* on chain, not .*{value}"):
        trial(anvil, deployer, tmp_path / "deployment.json", replace(TEST_PARAMETERS, **{name: value}))

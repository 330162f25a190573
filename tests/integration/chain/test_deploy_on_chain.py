"""The deploy script can be repeated, completes what is missing, and refuses what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment, create_keystore
from r1net.chain.deploy import deploy, main
from r1net.chain.deployer import GOVERNED
from r1net.chain.parameters import Parameters
from r1net.errors import ChainError

from .conftest import ARTIFACTS, DEPLOYER_KEY, TEST_PARAMETERS, Anvil


def again(anvil: Anvil, deployer: LocalAccount, path: Path, parameters: Parameters = TEST_PARAMETERS) -> Deployment:
    return deploy(anvil.url, deployer, path, artifacts=ARTIFACTS, parameters=parameters)


def test_repeating_it_changes_nothing(
    anvil: Anvil, chain: Chain, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    before = chain.sender.w3.eth.block_number
    assert again(anvil, deployer, tmp_path / "deployment.json") == deployment
    assert chain.sender.w3.eth.block_number == before


@pytest.mark.parametrize("lost", ["R1Governor", "Disputes", "NodeRegistry", "Settlement", "R1Token"])
def test_what_is_missing_is_completed(anvil: Anvil, deployer: LocalAccount, tmp_path: Path, lost: str) -> None:
    path = tmp_path / "deployment.json"
    first = deploy(anvil.url, deployer, path, artifacts=ARTIFACTS, parameters=TEST_PARAMETERS, handover=False)
    kept = {name: address for name, address in first.contracts.items() if name != lost}
    first.model_copy(update={"contracts": kept}).save(path)
    second = again(anvil, deployer, path)
    assert set(second.contracts) == set(first.contracts)
    assert second.contracts[lost] != first.contracts[lost]
    assert again(anvil, deployer, path) == second


def test_a_fresh_chain_gets_a_fresh_deployment(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    anvil.rpc("anvil_reset")
    assert again(anvil, deployer, tmp_path / "deployment.json").contracts.keys() == deployment.contracts.keys()


def test_foreign_code_is_refused(anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path) -> None:
    anvil.rpc("anvil_setCode", deployment.address("Provenance"), "0x6001")
    with pytest.raises(ChainError, match="Provenance on chain is not"):
        again(anvil, deployer, tmp_path / "deployment.json")


def test_another_chains_file_is_refused(
    anvil: Anvil, deployment: Deployment, deployer: LocalAccount, tmp_path: Path
) -> None:
    path = tmp_path / "deployment.json"
    deployment.model_copy(update={"chain_id": 5}).save(path)
    with pytest.raises(ChainError, match="describes chain 5"):
        again(anvil, deployer, path)
    with pytest.raises(ChainError, match="serves chain 31337"):
        Chain.connect(anvil.url, Deployment.load(path))


def test_mixed_deployments_are_refused(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    first = deploy(anvil.url, deployer, tmp_path / "one.json", artifacts=ARTIFACTS, parameters=TEST_PARAMETERS)
    second = deploy(anvil.url, deployer, tmp_path / "two.json", artifacts=ARTIFACTS, parameters=TEST_PARAMETERS)
    mixed = dict(first.contracts) | {"Provenance": second.contracts["Provenance"]}
    first.model_copy(update={"contracts": mixed}).save(tmp_path / "one.json")
    with pytest.raises(ChainError, match=r"Provenance\.settlement is"):
        again(anvil, deployer, tmp_path / "one.json")


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
            settlers=[Account.create().address],
        )


def test_uncompiled_contracts_name_the_next_step(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="forge build"):
        deploy(anvil.url, deployer, tmp_path / "deployment.json", artifacts=tmp_path)


def test_the_command_line(anvil: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file, out = tmp_path / "owner.json", tmp_path / "deployment.json"
    create_keystore(key_file, "secret", key=DEPLOYER_KEY, iterations=2)
    monkeypatch.setenv("R1_PASSWORD", "secret")
    common = ["deploy", "--rpc", anvil.url, "--key-file", str(key_file), "--out", str(out)]
    monkeypatch.setattr("sys.argv", [*common, "--artifacts", str(ARTIFACTS), "--challenge-window", "5"])
    assert main() == 0
    found = Deployment.load(out)
    assert Chain.connect(anvil.url, found).settlement.challenge_window() == 5
    monkeypatch.setenv("R1_PASSWORD", "guess")
    assert main() == 4


def test_bad_parameters_are_refused_in_words(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="outside its bounds"):
        again(anvil, deployer, tmp_path / "x.json", replace(TEST_PARAMETERS, challenge_window=0))

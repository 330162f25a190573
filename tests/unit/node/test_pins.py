"""A host knows its network before it approves or signs anything: by a file, by a digest, or by being on one machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from r1net.chain import Deployment
from r1net.chain.trust import named
from r1net.errors import ChainError, PreflightError, ProtocolError, Unreachable, UsageError
from r1node.doctor.checks import network as network_check
from r1node.network import connect_chain, inspect, network_info, open_chain, open_domain, pin, pinned, signing_domain
from r1node.settings import Settings
from tests.adversarial.coordinator.liar import CHAIN_ID, Stage, addresses

OWNER = Account.from_key("0x" + "77" * 32)
REMOTE = "https://coordinator.example"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def honest(stage: Stage) -> Iterator[None]:
    """Whatever a test made the coordinator say and the chain run is undone."""
    before = stage.liar.info
    yield
    stage.liar.info = before
    stage.put_code(addresses(1)["NodeRegistry"], "0x600100")


def here(stage: Stage, folder: Path, **changes: Any) -> Settings:
    return Settings.model_validate({"coordinator": stage.liar.url, "data_dir": folder, **changes})


def test_a_coordinator_on_this_machine_is_believed_the_first_time_only(stage: Stage, tmp_path: Path) -> None:
    settings = here(stage, tmp_path)
    connect_chain(settings, network_info(settings))
    assert not settings.pin_file.exists(), "reading pins nothing"
    connect_chain(settings, network_info(settings), OWNER)
    known = Deployment.load(settings.pin_file)
    assert (known.chain_id, known.contracts, len(known.code)) == (CHAIN_ID, addresses(1), 12)
    stage.liar.name(2)
    for act in (lambda info: connect_chain(settings, info, OWNER), lambda info: signing_domain(settings, info)):
        with pytest.raises(PreflightError, match="other contracts"):
            act(network_info(settings))
    with pytest.raises(PreflightError, match="other contracts"):
        connect_chain(settings, network_info(settings))


def test_the_same_addresses_with_other_code_are_refused(stage: Stage, tmp_path: Path) -> None:
    settings = here(stage, tmp_path)
    connect_chain(settings, network_info(settings), OWNER)
    stage.put_code(addresses(1)["NodeRegistry"], "0x60ff00")
    with pytest.raises(PreflightError, match=r"NodeRegistry at .* has other code"):
        connect_chain(settings, network_info(settings), OWNER)
    stage.put_code(addresses(1)["NodeRegistry"], "0x")
    with pytest.raises(PreflightError, match="there is no NodeRegistry"):
        connect_chain(settings, network_info(settings), OWNER)


def test_another_chain_is_refused(stage: Stage, tmp_path: Path) -> None:
    settings = here(stage, tmp_path)
    connect_chain(settings, network_info(settings), OWNER)
    stage.liar.info = stage.liar.info.model_copy(update={"chain_id": 1})
    with pytest.raises(PreflightError, match="other contracts"):
        connect_chain(settings, network_info(settings), OWNER)
    with pytest.raises(ChainError, match="serves chain 31337"):
        inspect(settings, network_info(settings))


def test_beyond_this_machine_nothing_is_believed(stage: Stage, tmp_path: Path) -> None:
    info = stage.liar.info
    settings = Settings(coordinator=REMOTE, data_dir=tmp_path, rpc_url=stage.anvil.url)
    for act in (
        lambda: connect_chain(settings, info, OWNER),
        lambda: connect_chain(settings, info),
        lambda: signing_domain(settings, info),
    ):
        with pytest.raises(PreflightError, match="nothing vouches") as caught:
            act()
        assert "r1node trust" in (caught.value.hint or "")
    assert not settings.pin_file.exists()
    pin(settings, inspect(settings, info))
    assert connect_chain(settings, info, OWNER).deployment.contracts == addresses(1)
    assert signing_domain(settings, info).registry == addresses(1)["NodeRegistry"]


def test_the_coordinators_endpoint_is_not_asked_about_the_coordinator(stage: Stage, tmp_path: Path) -> None:
    """Beyond this machine, neither a pin nor a transaction goes by an endpoint that the coordinator names."""
    info = stage.liar.info
    settings = Settings(coordinator=REMOTE, data_dir=tmp_path)
    with pytest.raises(PreflightError, match="endpoint of your own"):
        inspect(settings, info)
    pin(settings, named(info))
    with pytest.raises(PreflightError, match="endpoint of your own"):
        connect_chain(settings, info, OWNER)
    private = info.model_copy(update={"rpc_url": None})
    with pytest.raises(PreflightError, match="publishes no chain endpoint"):
        connect_chain(settings, private)


def test_the_operators_file_needs_no_pin(stage: Stage, tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    named(stage.liar.info).save(file)
    settings = Settings(coordinator=REMOTE, data_dir=tmp_path / "data", rpc_url=stage.anvil.url, deployment=file)
    assert connect_chain(settings, stage.liar.info, OWNER).deployment.contracts == addresses(1)
    assert not settings.pin_file.exists()
    stage.liar.name(2)
    with pytest.raises(PreflightError, match=r"other contracts than .*deployment\.json"):
        connect_chain(settings, stage.liar.info, OWNER)
    named(stage.liar.info).save(file)
    with pytest.raises(PreflightError, match="there is no R1Token"):
        connect_chain(settings, stage.liar.info, OWNER)


def test_who_has_a_pin_and_an_endpoint_needs_no_coordinator(stage: Stage, tmp_path: Path) -> None:
    away = Settings(coordinator="http://127.0.0.1:9", data_dir=tmp_path, rpc_url=stage.anvil.url)
    for act in (open_chain, open_domain):
        with pytest.raises(Unreachable):
            act(away)
    pin(away, inspect(away, stage.liar.info))
    assert open_chain(away).deployment.contracts == addresses(1)
    assert open_domain(away).registry == addresses(1)["NodeRegistry"]
    with pytest.raises(Unreachable):
        open_chain(away.model_copy(update={"rpc_url": None}))
    stage.put_code(addresses(1)["NodeRegistry"], "0x60ff00")
    with pytest.raises(PreflightError, match="has other code"):
        open_chain(away)


@pytest.mark.parametrize("change", [{"chain_id": 0}, {"contracts": {"R1Token": "0x" + "ab" * 20}}])
def test_a_network_that_is_none_is_refused_in_words(stage: Stage, change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="no usable network"):
        named(stage.liar.info.model_copy(update=change))


@pytest.mark.parametrize("setting", ["coordinator", "rpc_url"])
def test_plain_http_beyond_this_machine_names_its_risk(setting: str) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        Settings.model_validate({setting: "http://10.0.0.1:8420"})
    assert Settings.model_validate({setting: "http://10.0.0.1:8420", "allow_plain_http": True}).allow_plain_http
    assert Settings.model_validate({setting: "https://10.0.0.1:8420"})


def test_doctor_says_whether_the_network_is_known(stage: Stage, tmp_path: Path) -> None:
    settings = here(stage, tmp_path)
    assert "not pinned yet" in network_check(settings).detail
    connect_chain(settings, network_info(settings), OWNER)
    assert str(settings.pin_file) in network_check(settings).detail
    stage.liar.name(2)
    with pytest.raises(PreflightError, match="other contracts"):
        network_check(settings)


def r1node(stage: Stage, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "r1node"), *arguments, "--coordinator", stage.liar.url, "--json"]
    return subprocess.run([*command, "--data-dir", str(folder)], capture_output=True, text=True, check=False)


def test_trust_shows_the_digest_and_pins_what_it_is_told(stage: Stage, tmp_path: Path) -> None:
    shown = json.loads(r1node(stage, tmp_path, "trust").stdout)
    settings = here(stage, tmp_path)
    assert (shown["chain_id"], shown["pin_file"], len(shown["contracts"])) == (CHAIN_ID, None, 12)
    wrong = r1node(stage, tmp_path, "trust", "--digest", "0x" + "00" * 32)
    assert (wrong.returncode, json.loads(wrong.stderr)["code"]) == (3, "preflight")
    assert pinned(settings, stage.liar.info) is None
    done = json.loads(r1node(stage, tmp_path, "trust", "--digest", shown["digest"]).stdout)
    assert done["pin_file"] == str(settings.pin_file)
    known = pinned(settings, stage.liar.info)
    assert known is not None
    assert known.digest() == shown["digest"]


def test_a_digest_covers_chain_addresses_and_code(stage: Stage, tmp_path: Path) -> None:
    network = inspect(here(stage, tmp_path), stage.liar.info)
    others = [
        network.model_copy(update={"chain_id": 1}),
        network.model_copy(update={"contracts": addresses(2)}),
        network.model_copy(update={"code": network.code | {"R1Token": "0x" + "00" * 32}}),
        network.model_copy(update={"code": {}}),
    ]
    assert len({network.digest(), *(other.digest() for other in others)}) == 5
    assert network.model_copy(update={"block": 7, "parameters": {"x": 1}}).digest() == network.digest()

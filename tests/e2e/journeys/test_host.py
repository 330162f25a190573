"""A host's whole way: from `pip install` to the withdrawn stake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from r1net import R1, Client
from r1net.chain import Deployment
from tests.e2e.harness.network import Network
from tests.e2e.journeys.newcomer import Background, Newcomer, eventually
from tests.e2e.test_faults import submit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

DAY = 86_400


def test_from_the_installation_to_the_withdrawn_stake(
    network: Network, client: Client, model: Path, newcomer: Callable[[str, str], Newcomer]
) -> None:
    host = newcomer("host", "[node]")
    assert "Commands:" in host.says("r1node", "--help")
    host.environment |= {"R1_COORDINATOR": network.url, "R1_RPC_URL": network.anvil.url, "R1_THREADS": "1"}
    host.environment["R1_PASSWORD_FILE"] = str(host.give("my password", "correct horse battery staple\n"))

    said = host.says("r1node", "init")
    assert "send R1 for the stake" in said
    owner = str(host.answers("r1node", "init")["owner"])
    said = host.says("r1node", "doctor", code=3)
    assert f"send some to {owner}" in said, "the doctor says what to do next"
    network.anvil.fund(owner)
    network.chain.token.transfer(owner, 150 * R1)
    digest = Deployment.load(network.deployment_file).digest()
    assert digest in host.says("r1node", "trust", "--digest", digest)
    host.says("r1node", "doctor")

    work = Background(host, "r1node", "join", "--yes")
    work.waits_for("joined")
    said = work.log.read_text()
    assert "100 R1 of 0x" in said
    assert "r1node leave" in said, "how the stake comes back is said before it goes in"
    status = host.answers("r1node", "status")
    assert (status["court"], status["stake"]) == ("not accused of anything", "100 R1, active")

    run = submit(client, model, "for the new host", rounds=12)
    work.waits_for("accepted")
    eventually(lambda: bool(host.answers("r1node", "status")["jobs"]), "the job in the status")
    said = host.says("r1node", "status")
    assert "for the new host" in said
    run.watch()
    run.wait_settled()
    said = host.says("r1node", "rewards")
    assert "`r1node claim` brings what is claimable" in said
    claims = host.says("r1node", "claim")
    assert "R1 from" in claims
    total = host.answers("r1node", "rewards")["by_token"][0]
    assert int(total["claimed"]) > 0 == int(total["claimable"])
    assert network.chain.token.balance(owner) == 50 * R1 + int(total["claimed"])
    host.says("r1node", "audit", "1")

    host.says("r1node", "pause")
    work.waits_for("resting")
    host.says("r1node", "resume")
    work.waits_for("working")

    leaves(host, work, network, client.address)


def leaves(host: Newcomer, work: Background, network: Network, home: str) -> None:
    """The stake comes back, and all goes to another wallet."""
    owner = str(host.answers("r1node", "init")["owner"])
    earned = network.chain.token.balance(owner) - 50 * R1
    left = host.says("r1node", "leave")
    assert "leaving" in left
    assert work.ends() == 0
    network.anvil.rpc("evm_increaseTime", network.chain.registry.unbonding_delay() + DAY)
    network.anvil.rpc("evm_mine")
    assert "100 R1" in host.says("r1node", "leave")
    assert network.chain.registry.stake_of(owner) == 0
    before = network.chain.token.balance(home)
    host.says("r1node", "wallet", "send", home, "all R1", "--yes")
    assert network.chain.token.balance(home) - before == 150 * R1 + earned
    assert network.chain.token.balance(owner) == 0

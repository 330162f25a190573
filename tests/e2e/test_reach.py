"""A host whose announced address leads nowhere is told so, and works on what needs no peers; the others train on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from r1net import R1, Client
from r1net.protocol.views import NodeView
from tests.e2e.conftest import QUICK
from tests.e2e.harness.chain import compile_contracts
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, free_port, wait_until
from tests.e2e.test_faults import finish, submit, wait_for_line

pytestmark = pytest.mark.timeout(400)

NODES = ("node1", "node2", "node3")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Network]:
    """Three hosts, of three owners. The third one announces an address at which nobody is."""
    compile_contracts()
    network = Network(tmp_path_factory.mktemp("reach"), settings=QUICK)
    try:
        network.start_chain()
        network.start_coordinator()
        for name in NODES[:2]:
            network.start_node(name)
        network.start_node("node3", {"R1_ANNOUNCE": f"/ip4/127.0.0.1/tcp/{free_port()}"})
        yield network
    finally:
        network.stop()


def test_the_unreachable_is_told_and_does_not_train(network: Network, client: Client, model: Path) -> None:
    good, dead = ([network.supervisor.processes[name] for name in names] for names in (NODES[:2], NODES[2:]))
    for process in good:
        wait_for_line(process, "reachable: ", 0)
    wait_for_line(dead[0], "unreachable: no peer gets through to /ip4/127.0.0.1/tcp/", 0)
    assert "does not train" in dead[0].log.read_text()
    assert reach(client) == ["reachable", "reachable", "unreachable"]
    status = cast(dict[str, Any], network.ask_node("node3", "status"))
    assert status["workers"][0]["reach"] == "unreachable"
    run = submit(client, model, "one of three is cut off", rounds=4, groups_per_round=48)
    records = finish(run)
    workers = {address(network, name) for name in NODES[:2]}
    assert all(set(record.digests) <= workers and record.attempt == 1 for record in records[1:])
    assert any(set(record.digests) == workers for record in records)
    assert "rollout    train round" in dead[0].log.read_text()
    assert "train      round" not in dead[0].log.read_text()


def test_with_its_true_address_it_trains(network: Network, client: Client, model: Path) -> None:
    process: Process = network.supervisor.processes["node3"]
    process.stop()
    since = len(process.log.read_text())
    process.env = {"PYTHONUNBUFFERED": "1"}
    process.start()
    wait_for_line(process, "reachable: ", since)
    wait_until(lambda: reach(client) == ["reachable"] * 3, "all to be reached", 30)
    records = finish(submit(client, model, "all of three", rounds=3, groups_per_round=24))
    assert any(len(record.digests) == 3 for record in records)


def reach(client: Client) -> list[str]:
    """What is known of each worker, the worst last."""
    return sorted(view.reach.state for view in client.transport.get_many("/v1/nodes", NodeView))


def address(network: Network, name: str) -> str:
    status = cast(dict[str, Any], network.ask_node(name, "status"))
    return str(status["workers"][0]["address"])


@pytest.fixture(scope="module")
def client(network: Network) -> Iterator[Client]:
    """A submitter with money for every test."""
    with network.client(1_000 * R1) as client:
        yield client

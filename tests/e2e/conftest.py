"""One real network for all tests of faults: chain, coordinator and two nodes, each a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net import R1, Client
from tests.e2e.demo.tiny import tiny_model
from tests.e2e.harness.chain import ROOT, compile_contracts
from tests.e2e.harness.network import Network, single_threaded

QUICK = {"lease_seconds": "8", "heartbeat_seconds": "1", "lost_after_seconds": "5", "settlement_poll_seconds": "1"}
"""Coordinator settings under which a lost node is noticed within seconds."""

OLD_MACHINE = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""A processor without AVX-512, whatever this one has: hosts must agree on every version all the same."""


@pytest.fixture(scope="session")
def model() -> Path:
    """The tiny model, made once for the checkout."""
    single_threaded()
    return tiny_model(ROOT / "build" / "models" / "tiny")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Network]:
    """A running network with two nodes, on processors of different kinds."""
    compile_contracts()
    network = Network(tmp_path_factory.mktemp("network"), settings=QUICK)
    try:
        network.start_chain()
        network.start_coordinator()
        network.start_node("node1")
        network.start_node("node2", OLD_MACHINE)
        yield network
    finally:
        network.stop()


@pytest.fixture(scope="session")
def client(network: Network) -> Iterator[Client]:
    """A submitter with money for every test."""
    with network.client(10_000 * R1) as client:
        yield client

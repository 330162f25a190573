"""A host's bad days, done for real: a bad proxy, a closed lid, and Ctrl-C or SIGTERM whatever it is at."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast, get_args

import psutil
import pytest

from r1net import R1, Client
from r1net.chain import load_keystore
from r1net.protocol.views import NodeView
from tests.e2e.conftest import QUICK
from tests.e2e.harness.chain import compile_contracts
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until
from tests.e2e.harness.proxy import Mood, Proxy
from tests.e2e.test_faults import finish, submit, wait_for_line

pytestmark = pytest.mark.timeout(400)

MOODS: tuple[Mood, ...] = get_args(Mood)
BAD_FOR = 3.0
"""Seconds: less than a lease lasts without its beats."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network without hosts."""
    compile_contracts()
    network = Network(tmp_path_factory.mktemp("days"), settings=QUICK)
    try:
        network.start_chain()
        network.start_coordinator()
        yield network
    finally:
        network.stop()


@pytest.fixture(scope="module")
def client(network: Network) -> Iterator[Client]:
    """A submitter with money for every test."""
    with network.client(2_000 * R1) as client:
        yield client


@pytest.fixture(scope="module")
def proxy(network: Network) -> Iterator[Proxy]:
    """What stands between the host `far` and its coordinator."""
    proxy = Proxy(network.port)
    network.ways["far"] = proxy.url
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def far(network: Network, proxy: Proxy) -> Process:
    """A host whose proxy had nobody behind it when it was started."""
    with proxy.bad("502"):
        far = network.start_node("far")
        wait_for_line(far, "trying again", 0)
        wait_for_line(far, "trying again", far.log.read_text().index("trying again") + 1)
    wait_for_line(far, "joined", 0)
    return far


@pytest.mark.parametrize("mood", MOODS)
def test_a_host_works_on_while_its_line_is_bad(
    mood: Mood, network: Network, proxy: Proxy, far: Process, client: Client, model: Path
) -> None:
    since = len(far.log.read_text())
    run = submit(client, model, f"behind {mood}", rounds=2)
    wait_for_line(far, ": loading ", since)
    proxy.spoil(mood, BAD_FOR)
    for _ in range(2):
        wait_for_line(far, "train      round", since)
        proxy.spoil(mood, BAD_FOR)
    finish(run)
    said = far.log.read_text()[since:]
    assert far.alive
    assert not [line for line in said.splitlines() if "Traceback" in line or " failed  " in line or " lost  " in line]
    assert [view.standing for view in client.transport.get_many("/v1/nodes", NodeView)] == [0]


@pytest.mark.parametrize("mood", MOODS)
def test_commands_say_what_is_wrong_with_the_line(mood: Mood, network: Network, proxy: Proxy, far: Process) -> None:
    with proxy.bad(mood):
        status = cast(dict[str, Any], network.ask_node("far", "status"))
        rewards = subprocess.run(
            [*network.r1node("far", "rewards"), "--json"], capture_output=True, text=True, check=False
        )
    state = status["workers"][0]["state"]
    if mood == "slow":
        assert state == "active"
        assert rewards.returncode == 0
        return
    assert state.startswith("not known: ")
    assert status["court"] == status["stake"] == state
    assert rewards.returncode == 1
    told = json.loads(rewards.stderr)
    assert told["message"]
    assert told["hint"]

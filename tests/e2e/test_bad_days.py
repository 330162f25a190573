"""A host's bad days, done for real: a bad proxy, a closed lid, and Ctrl-C or SIGTERM whatever it is at."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MOODS: tuple[Mood, ...] = get_args(Mood)
BAD_FOR = 3.0
"""Seconds: less than a lease lasts without its beats."""

STALE = ("was taken back", "stale_lease")
"""What a host says of a lease that it lost in its sleep: when a beat finds it out, or the submission."""


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


@pytest.fixture(scope="module")
def near(network: Network) -> Process:
    """A second host, with a good line."""
    near = network.start_node("near")
    wait_for_line(near, "joined", 0)
    return near


def test_a_host_whose_lid_was_closed_works_on(
    network: Network, far: Process, near: Process, client: Client, model: Path
) -> None:
    since = len(near.log.read_text())
    run = submit(client, model, "a closed lid", rounds=3, groups_per_round=128)
    wait_for_line(near, "rollout    train round", since)
    asleep = family(near)
    for process in asleep:
        process.suspend()
    said = len(near.log.read_text())
    wait_until(lambda: doing(client, near, network) is None, "its lease to be given to others", 60)
    for process in asleep:
        process.resume()
    wait_until(lambda: any(words in near.log.read_text()[said:] for words in STALE), "near to see it", 30, near)
    assert "accepted" not in near.log.read_text()[said:].partition(STALE[0])[0].partition(STALE[1])[0]
    wait_for_line(near, "accepted", said)
    finish(run)
    assert near.alive
    assert "Traceback" not in near.log.read_text()


def test_stopped_at_the_question(network: Network) -> None:
    network.found_node("asked")
    before = left_keys()
    leader, follower = pty.openpty()
    command = network.r1node("asked", "join", "--threads", "1", "--device", "cpu")
    log = network.logs / "asked.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(command, stdin=follower, stdout=output, stderr=output, start_new_session=True)
    asked = Process("asked", command, log, popen=popen)
    wait_for_line(asked, "[y/N]", 0)
    said = stop(asked, signal.SIGINT)
    os.close(leader)
    os.close(follower)
    assert popen.returncode == 128 + signal.SIGINT
    assert "stopped before it took any work" in said
    assert left_keys() == before
    keys = cast(dict[str, Any], network.ask_node("asked", "init"))
    assert network.chain.registry.stake_of(keys["owner"]) == 0, "nothing was staked"


@pytest.mark.parametrize(
    ("child", "number"),
    [("r1net.sandbox.zygote", signal.SIGTERM), ("p2pd", signal.SIGINT), ("p2pd", signal.SIGTERM)],
)
def test_stopped_while_it_starts(child: str, number: signal.Signals, network: Network, near: Process) -> None:
    near.stop(60)
    before = left_keys()
    since = len(near.log.read_text())
    near.start()
    assert near.popen is not None
    started = psutil.Process(near.popen.pid)
    wait_until(lambda: has_child(started, child), f"{child} to start", 120, near)
    said = stop(near, number, since)
    assert near.popen.returncode == 128 + number
    assert "stopped before it took any work" in said
    assert left_keys() == before
    whole_keys(network, "near")


def test_stopped_while_idle(network: Network, near: Process) -> None:
    since = back(near)
    wait_for_line(near, "idle", since)
    said = stop(near, signal.SIGINT, since)
    assert near.popen is not None
    assert near.popen.returncode == 0
    assert "stopped on request" in said
    whole_keys(network, "near")


def test_stopped_in_a_rollout(network: Network, far: Process, near: Process, client: Client, model: Path) -> None:
    since = back(near)
    run = submit(client, model, "stopped in a rollout", groups_per_round=512, rounds=1)
    wait_for_line(near, "rollout    train round", since)
    gives_back(near, since)
    assert doing(client, near, network) is None, "its lease is free at once"
    finish(run)
    whole_keys(network, "near")


def test_stopped_while_it_averages_with_one_who_sleeps(
    network: Network, far: Process, near: Process, client: Client, model: Path
) -> None:
    since, heard = back(near), len(far.log.read_text())
    run = submit(client, model, "stopped while averaging", rounds=20, groups_per_round=24)
    wait_for_line(far, "train      round 1", heard)
    asleep = family(far)
    for process in asleep:
        process.suspend()
    wait_for_line(near, "train      round 1", since)
    gives_back(near, since)
    for process in asleep:
        process.resume()
    assert doing(client, near, network) is None, "its lease is free at once"
    finish(run)
    assert far.alive
    whole_keys(network, "near")


def gives_back(process: Process, since: int) -> None:
    """Signal a host twice in the middle of a task, which it gives back."""
    assert process.popen is not None
    process.popen.send_signal(signal.SIGINT)
    wait_for_line(process, "finishing this task", since, 10)
    said = stop(process, signal.SIGTERM, since, 15)
    assert process.popen.returncode == 0
    assert "failed     stopped: its host was stopped" in said
    assert "stopped on request" in said


def back(process: Process) -> int:
    """`r1node join` works again, or still; returns where what it says from then on begins."""
    since = len(process.log.read_text())
    if not process.alive:
        process.start()
        wait_for_line(process, "joined", since)
    return since


def family(process: Process) -> list[psutil.Process]:
    """A host's process and all that it has started."""
    assert process.popen is not None
    root = psutil.Process(process.popen.pid)
    return [root, *root.children(recursive=True)]


def has_child(root: psutil.Process, name: str) -> bool:
    """Whether a process has started another, whose command line has a word in it."""
    found = []
    for child in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += child.cmdline()
    return any(name in word for word in found)


def stop(process: Process, number: signal.Signals, since: int = 0, seconds: float = 30) -> str:
    """Signal a host, which ends within so many seconds with all that it has started; returns what it said."""
    assert process.popen is not None
    started = family(process)
    process.popen.send_signal(number)
    process.popen.wait(seconds)
    _, alive = psutil.wait_procs(started[1:], timeout=10)
    assert not alive
    said = process.log.read_text()[since:]
    assert "Traceback" not in said
    return said


def left_keys() -> set[str]:
    """Files with a worker's key for its daemon: they must not outlive its start."""
    return {path.name for path in Path("/dev/shm").glob("r1node-*")}


def whole_keys(network: Network, name: str) -> None:
    """A host's key files are read and opened as before."""
    password = network.password_file.read_text()
    home = network.folder / name
    for path in (home / "wallet.json", home / "workers" / "0" / "key.json"):
        load_keystore(path, password)


def doing(client: Client, process: Process, network: Network) -> str | None:
    """The job that a host holds a lease of, as the coordinator sees it."""
    (folder,) = (network.folder / process.name / "workers").glob("*")
    address = json.loads((folder / "key.json").read_text())["address"].removeprefix("0x").lower()
    views = client.transport.get_many("/v1/nodes", NodeView)
    return next(view.doing for view in views if view.worker.lower() == f"0x{address}")

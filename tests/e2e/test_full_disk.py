"""A host whose disk fills up while it works: it says so, gives back what it can't do, and works on with more room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net import R1
from r1node.quarantine import FIRST_SECONDS
from tests.e2e.conftest import QUICK
from tests.e2e.harness.chain import compile_contracts
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import Process, wait_until
from tests.e2e.test_faults import finish, submit, wait_for_line

pytestmark = pytest.mark.timeout(500)

SMALL = (
    'cp -a "$1" "$1.kept"; mount -t tmpfs -o size=4g tmpfs "$1"; cp -a "$1.kept/." "$1"; umask 077; shift; exec "$@"'
)
"""A data folder with its keys on a disk of its own, in a mount namespace of its own."""


@pytest.fixture
def network(tmp_path: Path, model: Path) -> Iterator[Network]:
    """A network whose second node has a small disk."""
    apart = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*apart, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount anything")
    compile_contracts()
    network = Network(tmp_path / "network", settings=QUICK)
    try:
        network.start_chain()
        network.start_coordinator()
        network.start_node("node1")
        network.found_node("node2")
        join = network.r1node("node2", "join", "--threads", "1", "--device", "cpu")
        command = [*apart, "sh", "-ec", SMALL, "sh", str(network.folder / "node2"), *join]
        network.supervisor.add(Process("node2", command, network.logs / "node2.log", {"PYTHONUNBUFFERED": "1"}))
        yield network
    finally:
        network.stop()


def resize(process: int, size: str, disk: Path) -> None:
    """Give a process's disk another size: a shell's word for it, in which $1 is the disk."""
    inside = ["nsenter", "--mount", f"--target={process}", *(() if os.geteuid() == 0 else ("--user",))]
    remount = f'mount -o "remount,size={size}" "$1"'
    subprocess.run([*inside, "sh", "-c", f"until {remount}; do sleep 0.1; done", "sh", str(disk)], check=True)


def test_a_node_whose_disk_is_full_lives_loses_nothing_and_works_again(network: Network, model: Path) -> None:
    with network.client(1_000 * R1) as client:
        node = network.supervisor.processes["node2"]
        wait_for_line(node, "joined", 0)
        run = submit(client, model, "full disk", rounds=60)
        wait_for_line(node, "round 1", 0)
        assert node.popen is not None
        disk = Path(f"/proc/{node.popen.pid}/root{network.folder / 'node2'}")
        resize(node.popen.pid, '$(du -sk "$1" | cut -f1)k', network.folder / "node2")
        wait_for_line(node, "system: no room is left on the disk for", 0)
        assert not list(disk.rglob(".part-*")), "what broke off was taken away"
        resize(node.popen.pid, "4g", network.folder / "node2")
        since = len(node.log.read_text())
        finish(run)
        assert node.alive
        again = submit(client, model, "room again", rounds=2)
        finish(again)
        wait_until(lambda: "accepted" in node.log.read_text()[since:], "the node to work again", 2 * FIRST_SECONDS)
        assert "Traceback" not in node.log.read_text()
        node.stop(60)
        assert node.popen.returncode == 0

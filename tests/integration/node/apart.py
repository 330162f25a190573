"""The two hosts of test_network_apart: `python -m tests.integration.node.apart FOLDER PID` dials from its own network;
the one in the network of the process PID, started here, answers."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from pathlib import Path

from eth_account import Account

from r1net.protocol.reach import DialOrder
from r1net.protocol.signing import Domain
from r1node.swarm import dialling
from r1node.swarm.daemon import Swarm
from tests.integration.waiting import until

DOMAIN = Domain(31337, "0x" + "11" * 20)
LISTEN = ("/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001")


def answer(path: Path) -> None:
    """Answer the door until standard input ends; `path` gets what a dialler must know."""
    account = Account.create()
    swarm = Swarm(account, LISTEN)
    swarm.start(dialling.Doorbell(DOMAIN, account).attach)
    found = {"worker": account.address, "peer_id": swarm.peer_id, "maddrs": swarm.addresses()}
    path.with_suffix(".new").write_text(json.dumps(found))
    path.with_suffix(".new").rename(path)
    sys.stdin.read()
    swarm.stop()


def ask(path: Path, pid: str) -> dict[str, object]:
    """What came of dialling the other one."""
    inside = ["nsenter", "-t", pid, "-n"]
    host = subprocess.Popen([*inside, sys.executable, "-m", __spec__.name, str(path)], stdin=subprocess.PIPE)
    try:
        until(path.exists, 60)
        told = json.loads(path.read_text())
        plain = [address.split("/p2p/")[0] for address in told["maddrs"]]
        found: dict[str, object] = {"announced": [address for address in plain if address.startswith("/ip4/")]}
        own = ("/ip4/127.0.0.1/tcp/1", "/ip4/11.0.0.1/tcp/1")
        dialling.EACH = 3.0

        def outcome(*maddrs: str) -> str:
            order = DialOrder(id="1", nonce="0x" + secrets.token_hex(32), **(told | {"maddrs": maddrs}))
            return asyncio.run(dialling.dial(order, DOMAIN, own)).outcome

        found["over the cable"] = outcome(*found["announced"])  # type: ignore[misc]
        found["at its own loopback"] = outcome("/ip4/127.0.0.1/tcp/4001")
        subprocess.run([*inside, "ip", "link", "set", "far", "down"], check=True)
        found["with the cable cut"] = outcome(*found["announced"])  # type: ignore[misc]
        return found
    finally:
        assert host.stdin is not None
        host.stdin.close()
        host.wait(30)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        answer(Path(sys.argv[1]))
    else:
        print(json.dumps(ask(Path(sys.argv[1]) / "host.json", sys.argv[2])), flush=True)

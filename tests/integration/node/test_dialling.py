"""Dialling over real p2pd daemons: who is there proves it, and a connection that exists proves nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import psutil
import pytest
from eth_account import Account
from hivemind.p2p import P2P
from multiaddr import Multiaddr

from r1net.protocol.reach import DialOrder, DialReport
from r1net.protocol.signing import Domain, dialled_values
from r1node.doctor.checks import p2p_daemon
from r1node.settings import Settings
from r1node.swarm import dialling
from r1node.swarm.daemon import Swarm
from r1node.swarm.dialling import PROTOCOL, Doorbell, dial
from tests.e2e.harness.processes import free_port
from tests.integration.waiting import until

DOMAIN = Domain(31337, "0x" + "11" * 20)
OWN = ("/ip4/127.0.0.1/tcp/1",)
T = TypeVar("T")


class Host:
    """A worker that answers the door."""

    def __init__(self, listen: str = "/ip4/127.0.0.1/tcp/0", announce: Sequence[str] = ()) -> None:
        self.account = Account.create()
        self.swarm = Swarm(self.account, listen.split(","), announce)
        self.swarm.start(Doorbell(DOMAIN, self.account).attach)

    def order(self, *maddrs: str) -> DialOrder:
        return DialOrder(
            id="1",
            worker=self.account.address,
            peer_id=self.swarm.peer_id,
            maddrs=maddrs or tuple(self.swarm.addresses()),
            nonce="0x" + secrets.token_hex(32),
        )


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    made = [Host() for _ in range(2)]
    yield made
    for host in made:
        host.swarm.stop()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def signer(order: DialOrder, report: DialReport) -> str:
    assert report.proof is not None
    return DOMAIN.signer("Dialled", dialled_values(order.worker, order.nonce), report.proof)


def dead() -> str:
    return f"/ip4/127.0.0.1/tcp/{free_port()}"


def test_who_is_there_proves_it_and_no_daemon_is_left_behind(hosts: list[Host]) -> None:
    order = hosts[0].order()
    report = run(dial(order, DOMAIN, OWN))
    assert (report.outcome, report.maddr) == ("reached", order.maddrs[0])
    assert signer(order, report) == hosts[0].account.address
    assert sum(child.name() == "p2pd" for child in psutil.Process().children()) == len(hosts)


def test_the_address_that_leads_there_is_named_and_no_other(hosts: list[Host]) -> None:
    good = hosts[0].swarm.addresses()[0]
    assert run(dial(hosts[0].order(dead(), good), DOMAIN, OWN)).maddr == good
    other = hosts[1].swarm.addresses()[0].split("/p2p/")[0]
    for address in (dead(), other):
        assert run(dial(hosts[0].order(address), DOMAIN, OWN)).outcome == "failed", "nobody there, or somebody else"


def test_a_connection_that_exists_proves_nothing(hosts: list[Host]) -> None:
    """The dialler's own daemon would say that it connected: it has a connection, which the other one made."""
    dialler, hidden = hosts
    hidden.swarm.run(hidden.swarm.connect(dialler.swarm.peer_id, dialler.swarm.addresses()))
    order = hidden.order(dead())
    dialler.swarm.run(dialler.swarm.connect(order.peer_id, order.maddrs))
    assert dialler.swarm.run(dial(order, DOMAIN, dialler.swarm.addresses())).outcome == "failed"


def test_whoever_answers_with_anothers_signature_is_not_reached(
    hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = hosts[0].order()
    monkeypatch.setattr(dialling, "EACH", 3.0)
    for answer in (bytes(65), b"short", hosts[1].account.sign_message, None):

        async def forge(_info: Any, reader: Any, writer: Any, answer: Any = answer) -> None:
            nonce = await reader.readexactly(32)
            if callable(answer):
                values = dialled_values(order.worker, "0x" + nonce.hex())
                answer = bytes.fromhex(DOMAIN.sign(hosts[1].account, "Dialled", values)[2:])
            if answer is not None:
                writer.write(answer)
            else:  # holds the line, until the dialler hangs up
                await reader.read()
            writer.close()

        async def put(p2p: P2P, forge: Any = forge) -> None:
            await p2p.remove_binary_stream_handler(PROTOCOL)
            await p2p.add_binary_stream_handler(PROTOCOL, forge)

        hosts[0].swarm.run(put(hosts[0].swarm.p2p))
        assert run(dial(order, DOMAIN, OWN)).outcome == "failed"


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("/ip4/127.0.0.1/tcp/22", ()),
        ("/ip4/192.168.1.1/tcp/80", ("/ip4/127.0.0.1/tcp/1",)),
        ("/ip4/10.1.2.3/tcp/80", ("/ip4/10.2.0.1/tcp/1",)),
        ("/ip4/169.254.169.254/tcp/80", ("/ip4/169.254.1.1/tcp/1",)),
        ("/ip6/::ffff:127.0.0.1/tcp/22", ()),
        ("/ip6/64:ff9b::a00:1/tcp/22", ()),
        ("/ip4/0.0.0.0/tcp/22", OWN),
        ("/dns4/localhost/tcp/22", ("/ip4/1.2.3.4/tcp/1",)),
    ],
)
def test_nobodys_own_network_is_looked_around_in(
    hosts: list[Host], address: str, own: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is dialled at all, whatever a name stands for where it is asked."""

    async def never(*_: Any) -> None:
        raise AssertionError("dialled")

    monkeypatch.setattr(dialling, "_ring", never)
    assert run(dial(hosts[0].order(address), DOMAIN, own)).outcome == "declined"


def test_names_and_ipv6_are_dialled_and_announced_as_they_were_given() -> None:
    port = free_port()
    told = (f"/dns4/localhost/tcp/{port}", f"/ip6/::1/tcp/{port}")
    host = Host(f"/ip4/127.0.0.1/tcp/{port},/ip6/::1/tcp/{port}", told)
    try:
        addresses = host.swarm.addresses()
        assert [address.split("/p2p/")[0] for address in addresses] == list(told)
        for address in addresses:
            assert run(dial(host.order(address), DOMAIN, ("/ip4/127.0.0.1/tcp/1",))).maddr == address
    finally:
        host.swarm.stop()


def test_a_port_that_was_given_stays_when_the_daemon_comes_back() -> None:
    host = Host(f"/ip4/127.0.0.1/tcp/{free_port()}")
    try:
        before = host.swarm.addresses()
        heard: list[list[str]] = []
        host.swarm.on_restart = heard.append
        assert host.swarm._p2p is not None
        assert host.swarm._p2p._child is not None
        host.swarm._p2p._child.kill()
        until(lambda: heard, 60)
        assert heard == [before]
        assert run(dial(host.order(), DOMAIN, OWN)).outcome == "reached"
    finally:
        host.swarm.stop()


def test_whoever_rings_without_a_word_is_let_go(hosts: list[Host]) -> None:
    """Many strangers that connect and say nothing, or too little, keep nobody from being answered."""

    async def loiter() -> DialReport:
        stranger = await dialling.create(no_listen=True, host_maddrs=None)
        try:
            peer = hosts[0].swarm.p2p.peer_id
            plain = hosts[0].swarm.addresses()[0].split("/p2p/")[0]
            await stranger._client.connect(peer, [Multiaddr(plain)])
            open_ones = [await stranger.call_binary_stream_handler(peer, PROTOCOL) for _ in range(40)]
            for _, _, writer in open_ones[:20]:
                writer.write(b"x")
            found = await dial(hosts[0].order(), DOMAIN, OWN)
            for _, _, writer in open_ones:
                writer.close()
            return found
        finally:
            await stranger.shutdown()

    assert run(loiter()).outcome == "reached"


def test_the_doctor_says_how_far_the_addresses_lead() -> None:
    """It promises nothing: whether a public one works is found when others dial it."""
    here = p2p_daemon(Settings())
    assert (here.verdict, "this machine only" in here.detail) == ("warning", True)
    assert "--listen" in str(here.fix)
    lan = p2p_daemon(Settings(announce="/ip4/192.168.1.5/tcp/4001"))
    assert (lan.verdict, "the local network only" in lan.detail) == ("warning", True)
    assert "forward TCP port 4001" in str(lan.fix)
    far = p2p_daemon(Settings(announce="/dns4/host.example/tcp/4001"))
    assert (far.verdict, far.fix) == ("ok", None)
    assert "/dns4/host.example/tcp/4001 (public); whether that works, peers try when it joins" in far.detail

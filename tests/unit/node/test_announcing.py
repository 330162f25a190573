"""What a host may listen at and announce, and what it is told of that."""

from __future__ import annotations

import pytest

from r1net.errors import UsageError
from r1net.protocol.reach import Reach
from r1node.announcing import reach_of, way_out, worth_announcing
from r1node.reaching import words
from r1node.settings import Settings, resolve

HOME, LAN, WAN = "/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.5/tcp/4001", "/ip4/1.2.3.4/tcp/4001"


def test_a_host_listens_beyond_its_machine_where_the_coordinator_is_elsewhere() -> None:
    """Else a host that does what the README says could never be reached."""
    assert Settings().listen_addresses == ("/ip4/127.0.0.1/tcp/0",)
    far = "https://coordinator.example"
    assert Settings(coordinator=far).listen_addresses == ("/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001")
    assert Settings(coordinator=far, worker="2").listen_addresses[0] == "/ip4/0.0.0.0/tcp/4003"
    assert Settings(coordinator=far, worker="gpu1").listen_addresses[0] == "/ip4/0.0.0.0/tcp/4002"
    assert Settings(coordinator=far, worker="mine").listen_addresses[0] == "/ip4/0.0.0.0/tcp/4001"
    assert Settings(coordinator=far, listen="/ip4/10.0.0.1/tcp/0").listen_addresses == ("/ip4/10.0.0.1/tcp/0",)


def test_addresses_come_from_every_source_with_commas() -> None:
    found = resolve({}, {"R1_ANNOUNCE": f"{WAN}, /dns4/host.example/tcp/4001,/ip6/2606:4700::1/tcp/4001"}).settings
    assert found.announced_addresses == (WAN, "/dns4/host.example/tcp/4001", "/ip6/2606:4700::1/tcp/4001")
    assert resolve({"announce": WAN}, {"R1_ANNOUNCE": LAN}).settings.announced_addresses == (WAN,)
    assert not resolve({}, {}).settings.port_map, "a router is not touched unasked"
    assert resolve({}, {"R1_PORT_MAP": "true"}).settings.port_map


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("announce", "1.2.3.4:4001", "is no libp2p address; give for example /ip4/"),
        ("announce", "/ip4/1.2.3.4/tcp/0", "is no libp2p address"),
        ("announce", "/ip4/0.0.0.0/tcp/4001", "nowhere that a peer could dial"),
        ("announce", "/ip6/fe80::1/tcp/4001", "nowhere that a peer could dial"),
        ("announce", "/ip4/1.2.3.4/tcp/70000", "is no libp2p address"),
        ("announce", f"{WAN},nonsense", "'nonsense' is no libp2p address"),
        ("listen", "", "is empty"),
        ("listen", "0.0.0.0", "is no libp2p address"),
        ("listen", "/ip4/300.0.0.1/tcp/1", "is no libp2p address"),
        ("listen", "/dns4/host.example/tcp/4001", "is a name; listen at an IP address"),
    ],
)
def test_what_is_no_address_is_refused_before_anything_starts(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve({name: value}, {})
    assert f"setting '{name}'" in raised.value.message
    assert said in raised.value.message


def test_this_machines_addresses_are_announced_only_where_there_are_no_others() -> None:
    assert worth_announcing([HOME]) == [HOME]
    assert worth_announcing([HOME, LAN, WAN]) == [WAN, LAN]
    assert len(worth_announcing([f"/ip4/10.0.{n}.1/tcp/1" for n in range(99)])) == 32
    assert [reach_of(found) for found in ([HOME], [HOME, LAN], [LAN, WAN], [])] == [
        *("loopback", "private", "public", "loopback")
    ]
    assert "--listen" in way_out([HOME])
    assert way_out([LAN]) == "forward TCP port 4001 to this host and set --announce, or try --port-map"


def test_the_host_is_told_who_reaches_it_and_what_that_earns() -> None:
    reached = Reach(state="reachable", peers=2, maddrs=(f"{WAN}/p2p/16Uiu2",))
    assert words(reached, (WAN,)) == f"reachable: 2 peers reached this host at {WAN}; it may train"
    assert "of this owner" in words(reached.model_copy(update={"own": True}), (WAN,))
    lost = words(Reach(state="unreachable", failed=2), (f"{WAN}/p2p/16Uiu2",))
    assert f"no peer gets through to {WAN};" in lost
    assert "does not train beside others, which earns less; forward TCP port 4001" in lost
    assert words(Reach(), ()).startswith("not known yet")

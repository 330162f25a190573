"""Which announced addresses are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiaddr import Multiaddr

from r1net.errors import ProtocolError
from r1net.protocol.addresses import check_addresses

PEER = "16Uiu2HAm9n4hmoFhVqbbTqkSDZ5x8xn4tGYzM2rP6zA7ntPxYZVQ"
RELAY = "12D3KooWGRUFhTrsGBzCk4jHzkbJbQHXR1mL6iyHAQBLhGbQZT4E"
GOOD = (
    "/ip4/127.0.0.1/tcp/1",
    f"/ip4/203.0.113.7/tcp/4001/p2p/{PEER}",
    f"/ip6/2001:db8::1/udp/4001/quic-v1/p2p/{PEER}",
    "/dns4/node.example.org/tcp/443/wss",
    "/dns/a-b.c/tcp/443/tls/ws",
    f"/ip4/203.0.113.7/tcp/4001/p2p/{RELAY}/p2p-circuit/p2p/{PEER}",
)
BAD = (
    *("garbage", "", "/", "//", "/ip4", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp", "/ip4/999.1.1.1/tcp/1", "/ip4/::1/tcp/1"),
    *(
        "/ip4/1.2.3.4/tcp/0",
        "/ip4/1.2.3.4/tcp/65536",
        "/ip4/1.2.3.4/tcp/-1",
        "/ip4/1.2.3.4/tcp/١",
        "/ip4/1.2.3.4/sctp/1",
    ),
    *("/unix/run/docker.sock", "/dns//tcp/1", "/dns/a b/tcp/1", "/dns/../tcp/1", "/ip4/1.2.3.4/tcp/1/", "/x/y/z/w"),
    *(f"/ip4/1.2.3.4/tcp/1/p2p/{RELAY}", "/ip4/1.2.3.4/tcp/1/p2p/zz", "/ip4/1.2.3.4/tcp/1/p2p-circuit", "\x00" * 40),
    *("/ip4/1.2.3.4/tcp/1" + "/ws" * 200, "/ip4/1.2.3.4\n/tcp/1", "/ip4/1.2.3.4/tcp/1 "),
)


@pytest.mark.parametrize("address", GOOD)
def test_what_daemons_dial_is_taken(address: str) -> None:
    check_addresses((address,), PEER)
    assert str(Multiaddr(address)) == address


@pytest.mark.parametrize("address", BAD)
def test_what_nobody_could_dial_is_refused(address: str) -> None:
    with pytest.raises(ProtocolError, match="no address"):
        check_addresses((GOOD[0], address), PEER)


def test_too_many_are_refused() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        check_addresses((GOOD[0],) * 33, PEER)


@given(st.lists(st.sampled_from(["ip4", "1.2.3.4", "tcp", "1", "p2p", PEER, "ws", "", "p2p-circuit", "dns", "a.b"])))
def test_whatever_is_taken_the_library_reads(parts: list[str]) -> None:
    address = "/" + "/".join(parts)
    try:
        check_addresses((address,), PEER)
    except ProtocolError:
        return
    Multiaddr(address)

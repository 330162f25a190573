"""The libp2p addresses that a worker may announce: those that its peers' daemons can dial, and no others.

A subset of multiaddr (https://github.com/multiformats/multiaddr): a host, TCP or UDP with a port, the transports of
go-libp2p, perhaps a relay, and at the end the worker's own peer id or none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from r1net.errors import ProtocolError

MOST_ADDRESSES = 32
LONGEST_ADDRESS = 300

_TRANSPORTS = frozenset({"quic", "quic-v1", "ws", "wss", "tls", "noise", "webtransport", "webrtc-direct"})
_NAME = re.compile(r"^(?=.{1,253}\Z)([a-zA-Z0-9_]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.?)+\Z")
_PEER = re.compile(r"^[1-9A-HJ-NP-Za-km-z]{20,80}\Z")


def check_addresses(addresses: tuple[str, ...], peer_id: str) -> None:
    """Raises ProtocolError naming the first address that no peer could dial to reach `peer_id`."""
    if len(addresses) > MOST_ADDRESSES:
        raise ProtocolError(f"{len(addresses)} addresses; at most {MOST_ADDRESSES} are taken")
    for address in addresses:
        if len(address) > LONGEST_ADDRESS or not _dialable(address, peer_id):
            raise ProtocolError(f"{address[:80]!r} is no address at which peers could reach {peer_id}")


def _dialable(address: str, peer_id: str) -> bool:
    start, *parts = address.split("/")
    if start or len(parts) < 4:
        return False
    (kind, host, protocol, port), rest = parts[:4], parts[4:]
    if not _is_host(kind, host) or protocol not in ("tcp", "udp") or not _is_port(port):
        return False
    while rest and rest[0] in _TRANSPORTS:
        rest = rest[1:]
    if len(rest) >= 3 and rest[0] == "p2p" and rest[2] == "p2p-circuit":
        if not _PEER.match(rest[1]):
            return False
        rest = rest[3:]
    return rest in ([], ["p2p", peer_id])


def _is_host(kind: str, host: str) -> bool:
    if kind in ("dns", "dns4", "dns6"):
        return _NAME.match(host) is not None
    try:
        return (kind, ipaddress.ip_address(host).version) in (("ip4", 4), ("ip6", 6))
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 2**16


PUBLIC, NOWHERE = "public", "nowhere"
_NAT64 = ipaddress.ip_network("64:ff9b::/32")
"""Such an address means an IPv4 one, which may be a private one of whoever dials it."""


def network_of(address: str) -> str:
    """The network in which an address (that `check_addresses` takes) means something: PUBLIC, "loopback", or the one
    that a private address begins with (16 bits of IPv4, 48 of IPv6); NOWHERE where nobody should dial. A name is taken
    for a public one: whoever dials it looks at what it stands for."""
    _, kind, host = address.split("/")[:3]
    if "/p2p-circuit" in address:
        return NOWHERE
    return PUBLIC if kind.startswith("dns") else network_of_host(host)


def network_of_host(host: str) -> str:
    """The same of an IP address."""
    ip = ipaddress.ip_address(host)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _NAT64:
        return NOWHERE
    if ip.is_global:
        return PUBLIC
    if ip.is_reserved and ip.version == 4:
        return NOWHERE
    return str(ipaddress.ip_network((ip, 16 if ip.version == 4 else 48), strict=False))


def may_dial(address: str, own: Iterable[str]) -> bool:
    """Whether a worker that announces `own` addresses dials this one for others: a public one, or one of a network
    that it has said to be in itself. Nobody's loopback or private network is looked around in."""
    network = network_of(address)
    return network == PUBLIC or (network != NOWHERE and network in {network_of(one) for one in own})

"""The libp2p addresses that a worker may announce: those that its peers' daemons can dial, and no others.

A subset of multiaddr (https://github.com/multiformats/multiaddr): a host, TCP or UDP with a port, the transports of
go-libp2p, perhaps a relay, and at the end the worker's own peer id or none.
"""

from __future__ import annotations

import ipaddress
import re

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

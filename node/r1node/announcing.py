"""The libp2p addresses that a host listens at and announces: read from its settings, and described to it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1net.errors import ProtocolError
from r1net.protocol.addresses import MOST_ADDRESSES, NOWHERE, PUBLIC, check_addresses, network_of

FIRST_PORT = 4001


def listening(text: str) -> tuple[str, ...]:
    """The addresses to listen at, from text with commas; port 0 is any free one. Raises ValueError."""
    found = _split(text)
    if not found:
        raise ValueError("is empty; give for example /ip4/0.0.0.0/tcp/4001")
    for address in found:
        _require(re.sub(r"/(tcp|udp)/0(?=/|$)", r"/\1/1", address), address)
        if address.startswith("/dns"):
            raise ValueError(f"{address!r} is a name; listen at an IP address, and announce the name")
    return found


def announcing(text: str) -> tuple[str, ...]:
    """The addresses to announce, from text with commas. Raises ValueError."""
    found = _split(text)
    for address in found:
        _require(address, address)
        if network_of(address) == NOWHERE:
            raise ValueError(f"{address!r} is nowhere that a peer could dial; announce a host's own address")
    return found


def default_listen(here: bool, worker: str) -> str:
    """Where a worker listens unless it is told otherwise: on this machine alone if the network is `here`; else at every
    address, at a port that can be forwarded, and that the next worker of this machine doesn't want."""
    if here:
        return "/ip4/127.0.0.1/tcp/0"
    number = re.search(r"[0-9]{1,3}\Z", worker)
    port = FIRST_PORT + (int(number[0]) if number else 0)
    return f"/ip4/0.0.0.0/tcp/{port},/ip6/::/tcp/{port}"


def worth_announcing(addresses: Sequence[str]) -> list[str]:
    """Public ones first, as many as may be announced; without those of this machine, where there are others."""
    beyond = [address for address in addresses if network_of(address) not in ("loopback", NOWHERE)]
    return sorted(beyond or addresses, key=lambda address: network_of(address) != PUBLIC)[:MOST_ADDRESSES]


def reach_of(addresses: Sequence[str]) -> str:
    """How far addresses lead: "public", "private" (a local network) or "loopback" (this machine)."""
    networks = {network_of(address) for address in addresses}
    if PUBLIC in networks:
        return "public"
    return "private" if networks - {"loopback", NOWHERE} else "loopback"


def way_out(addresses: Sequence[str]) -> str:
    """What a host can do whose announced addresses nobody reaches."""
    ports = {match[2]: match[1] for address in addresses if (match := re.search(r"/(tcp|udp)/(\d+)", address))}
    if reach_of(addresses) == "loopback":
        return f"listen beyond this machine: --listen /ip4/0.0.0.0/tcp/{FIRST_PORT}"
    port, protocol = next(iter(ports.items()), (str(FIRST_PORT), "tcp"))
    return f"forward {protocol.upper()} port {port} to this host and set --announce, or try --port-map"


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _require(address: str, shown: str) -> None:
    try:
        check_addresses((address,), "")
    except ProtocolError:
        example = "/ip4/203.0.113.7/tcp/4001 or /dns4/host.example/tcp/4001"
        raise ValueError(f"{shown[:80]!r} is no libp2p address; give for example {example}") from None

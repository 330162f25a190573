"""Dialling other workers, and answering who dials: how the coordinator learns who can be reached.

Tried with hivemind's p2pd: a daemon that has a connection to a peer says that it connected to whatever address it is
given; one that had one remembers, and tries, the addresses that the peer told it then. So every address is dialled by a
daemon of its own, with an identity made on the spot, which knows of nothing else. One is up within 0.2 s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from eth_account.signers.local import LocalAccount
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.control import P2PHandlerError
from hivemind.p2p.p2p_daemon_bindings.datastructures import StreamInfo
from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from r1net.errors import ProtocolError
from r1net.protocol.addresses import PUBLIC, check_addresses, may_dial, network_of_host
from r1net.protocol.reach import DialOrder, DialReport
from r1net.protocol.signing import Domain, dialled_values
from r1node.swarm.daemon import create

log = logging.getLogger(__name__)

PROTOCOL = "r1net/dialled/1"
NONCE_BYTES, PROOF_BYTES = 32, 65
EACH, ALL = 10.0, 30.0
"""Seconds for one address, and for an order: a report that comes late counts for nothing."""
MOST_RESOLVED = 2
"""Addresses of one name that are tried."""

_GONE = (asyncio.IncompleteReadError, TimeoutError, OSError)
_BROKEN = (ControlFailure, P2PHandlerError, MultiaddrError, ValueError, *_GONE)
"""What the daemon, its streams and what peers announce come to when nobody is there."""


class Doorbell:
    """Answers whoever sends a nonce with a proof that this worker was reached. Anybody may ask: the signature says
    nothing else. One is made at a time, so that strangers take one thread at most."""

    def __init__(self, domain: Domain, worker: LocalAccount) -> None:
        self._domain, self._worker = domain, worker
        self._one = asyncio.Lock()

    async def attach(self, p2p: P2P) -> None:
        """Register on a (fresh) P2P."""
        await p2p.add_binary_stream_handler(PROTOCOL, self._answer)

    async def _answer(self, _info: StreamInfo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            nonce = await asyncio.wait_for(reader.readexactly(NONCE_BYTES), EACH)
            values = dialled_values(self._worker.address, "0x" + nonce.hex())
            async with self._one:
                proof = await asyncio.to_thread(self._domain.sign, self._worker, "Dialled", values)
            writer.write(bytes.fromhex(proof[2:]))
            await asyncio.wait_for(writer.drain(), EACH)
        except _GONE as error:
            log.debug("whoever rang has gone: %r", error)
        finally:
            writer.close()


async def dial(order: DialOrder, domain: Domain, own: Sequence[str]) -> DialReport:
    """Do what an order says; `own` are the addresses that this host announces itself.

    Raises P2PDaemonError where no daemon starts here: that says nothing about the worker.
    """
    try:
        check_addresses(order.maddrs, order.peer_id)
    except ProtocolError:
        return DialReport(id=order.id, outcome="declined")
    deadline = asyncio.get_running_loop().time() + ALL
    tried = False
    for announced in order.maddrs:
        for address in await _plain(announced.removesuffix(f"/p2p/{order.peer_id}"), own):
            left = min(EACH, deadline - asyncio.get_running_loop().time())
            if left <= 0:
                break
            tried = True
            proof = await _ring(order, address, left)
            if proof is not None and _stands(order, domain, proof):
                return DialReport(id=order.id, outcome="reached", maddr=announced, proof=proof)
    return DialReport(id=order.id, outcome="failed" if tried else "declined")


async def _ring(order: DialOrder, address: str, seconds: float) -> str | None:
    """The proof of whoever is there; None when nobody of this peer id is."""
    stranger = await create(
        no_listen=True,
        host_maddrs=None,
        auto_nat=False,
        dht_mode="client",
    )
    try:
        return await asyncio.wait_for(_exchange(stranger, order, address), seconds)
    except _BROKEN as error:
        log.info("%s is not reached at %s: %s", order.worker, address, error)
        return None
    finally:
        await _end(stranger)


async def _end(stranger: P2P) -> None:
    """Of a daemon that nobody else needs: at once, so that nothing of it is left where the wait is cancelled."""
    stranger._terminate()
    stranger._child._transport.close()
    await stranger._child.wait()


async def _exchange(stranger: P2P, order: DialOrder, address: str) -> str:
    peer = PeerID.from_base58(order.peer_id)
    await stranger._client.connect(peer, [Multiaddr(address)])
    _, reader, writer = await stranger.call_binary_stream_handler(peer, PROTOCOL)
    try:
        writer.write(bytes.fromhex(order.nonce[2:]))
        await writer.drain()
        proof: bytes = await reader.readexactly(PROOF_BYTES)
        return "0x" + proof.hex()
    finally:
        writer.close()


def _stands(order: DialOrder, domain: Domain, proof: str) -> bool:
    try:
        return domain.signer("Dialled", dialled_values(order.worker, order.nonce), proof) == order.worker
    except ProtocolError:
        return False


async def _plain(address: str, own: Sequence[str]) -> list[str]:
    """The address, or those that a name in it stands for: as far as this host dials them for others. A name may mean
    anything where it is asked for, this host's own network, too."""
    kind, host, *rest = address.split("/")[1:]
    if not kind.startswith("dns"):
        return [address] if may_dial(address, own) else []
    networks = {PUBLIC}
    for one in own:
        networks.update(network_of_host(ip) for _, ip in await _resolved(*one.split("/")[1:3]))
    found = [(family, ip) for family, ip in await _resolved(kind, host) if network_of_host(ip) in networks]
    return ["/".join(("", family, ip, *rest)) for family, ip in found[:MOST_RESOLVED]]


async def _resolved(kind: str, host: str) -> list[tuple[str, str]]:
    if not kind.startswith("dns"):
        return [(kind, host)]
    family = {"dns4": socket.AF_INET, "dns6": socket.AF_INET6}.get(kind, socket.AF_UNSPEC)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=family, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [("ip4" if one[0] == socket.AF_INET else "ip6", str(one[4][0]).split("%")[0]) for one in found]

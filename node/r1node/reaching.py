"""A worker's part in who reaches whom: it announces its addresses, dials others when it is told to, and tells its host
what the others found."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError

from r1net.errors import DaemonError, R1Error
from r1net.protocol.reach import DialOrder, Reach
from r1net.protocol.signing import Domain
from r1node.announcing import way_out
from r1node.events import Events
from r1node.session import Session
from r1node.swarm.daemon import Swarm
from r1node.swarm.dialling import dial

log = logging.getLogger(__name__)

ANNOUNCE_PAUSE = 60.0
"""Seconds between two announcements: what peers say of a host's address, p2pd believes when several say it."""

MOST_WAITING = 8
"""Orders that wait for their turn; one is carried out at a time, whatever a coordinator says."""


class Reaching:
    """One worker's reach. Orders come with the coordinator's answers, whatever thread receives them."""

    def __init__(self, session: Session, swarm: Swarm, domain: Domain, events: Events) -> None:
        self._session, self._swarm, self._domain, self._events = session, swarm, domain, events
        self._turn = asyncio.Lock()
        self._waiting: set[str] = set()
        self._told: tuple[object, ...] = ()
        self._announce_again = 0.0
        session.on_dials = self.take

    def announce(self) -> None:
        """Open a session for the addresses that the host has now, where they are others than before: a router's port
        is mapped some seconds after the daemon's start, and networks change. To be called between tasks: it ends
        leases."""
        try:
            addresses = self._swarm.addresses()
        except DaemonError:
            return  # it is being restarted, and announced then
        if addresses and set(addresses) != set(self._session.maddrs) and time.monotonic() >= self._announce_again:
            self._announce_again = time.monotonic() + ANNOUNCE_PAUSE
            self._events.note("p2p", f"announcing {', '.join(map(_short, addresses))}")
            self._session.open(addresses)

    def take(self, orders: Sequence[DialOrder]) -> None:
        """Dial in the background, and report."""
        for order in orders:
            if order.id not in self._waiting and len(self._waiting) < MOST_WAITING:
                self._waiting.add(order.id)
                self._swarm.submit(self._obey(order))

    async def _obey(self, order: DialOrder) -> None:
        try:
            async with self._turn:
                report = await dial(order, self._domain, self._session.maddrs)
            await asyncio.to_thread(self._session.report_dial, report)
        except (R1Error, P2PDaemonError, OSError) as error:
            log.warning("dialling for the network: %s", error)
        finally:
            self._waiting.discard(order.id)

    def heard(self, reach: Reach | None) -> None:
        """What the coordinator says of this worker: told when it changes."""
        if reach is None:
            return
        news = (reach.state, reach.own, self._session.maddrs)
        if news != self._told:
            self._told = news
            self._events.note("reach", words(reach, self._session.maddrs), reach=reach.model_dump(mode="json"))


def words(reach: Reach, announced: Sequence[str]) -> str:
    """Whether a host is reached, and what that means for it."""
    if reach.state == "reachable":
        places = ", ".join(map(_short, reach.maddrs))
        if reach.own:
            return f"reachable: another worker of this owner, the only one here, reached it at {places}; it may train"
        peers = "1 peer" if reach.peers == 1 else f"{reach.peers} peers"
        return f"reachable: {peers} reached this host at {places}; it may train"
    if reach.state == "unreachable":
        places = ", ".join(map(_short, announced)) or "no address"
        return (
            f"unreachable: no peer gets through to {places}; it generates and verifies but does not train beside "
            f"others, which earns less; {way_out(announced)}"
        )
    return "not known yet whether others reach this host: they try as they come; until then it trains only alone"


def _short(address: str) -> str:
    return address.split("/p2p/", maxsplit=1)[0]

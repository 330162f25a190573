"""libp2p through hivemind's p2pd: started early and once, watched, restarted with back-off when it dies.

All of hivemind's P2P is asyncio; `Swarm` runs it on a thread of its own and offers plain calls.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import ControlFailure, P2PDaemonError
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from r1net.errors import DaemonError, SwarmError
from r1node.announcing import worth_announcing
from r1node.swarm.identity import identity_file

log = logging.getLogger(__name__)

STARTUP_TIMEOUT = 60.0
"""Seconds p2pd gets for one start: it is quick on an idle machine and slow on a busy one."""

BACKOFF = (1.0, 2.0, 5.0, 15.0)
"""Seconds between tries to start p2pd; after the last the error is raised."""

WATCH_EVERY = 0.5

DAEMON = {"startup_timeout": STARTUP_TIMEOUT, "nat_port_map": False, "use_relay": False}
"""What every p2pd is started with. It relays for nobody: by its own default it would carry strangers' connections."""

T = TypeVar("T")
Attach = Callable[[P2P], Coroutine[Any, Any, None]]


async def create(**options: Any) -> P2P:
    """One start of p2pd, which has ended before an error is raised."""
    made: list[P2P] = []

    class Known(P2P):  # type: ignore[misc]
        """Known from the beginning: `P2P.create` lets go of a daemon that failed without waiting for its end."""

        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    try:
        return await Known.create(**(DAEMON | options))
    except BaseException:
        for started in made:
            await started.shutdown()
        raise


class Swarm:
    """This node's place among its peers. `attach` is called with each fresh P2P to register protocol handlers.

    Peers are told the addresses to `announce`, else those that the daemon has; with `port_map` it asks the router for
    one (UPnP, NAT-PMP).
    """

    def __init__(
        self,
        worker: LocalAccount,
        listen: Sequence[str] = ("/ip4/127.0.0.1/tcp/0",),
        announce: Sequence[str] = (),
        port_map: bool = False,
    ) -> None:
        self._worker, self._listen = worker, tuple(listen)
        self._announce, self._port_map = tuple(announce), port_map
        self._attachments: list[Attach] = []
        self._p2p: P2P | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swarm", daemon=True)
        self.restarts = 0
        self.on_restart: Callable[[list[str]], None] = lambda addresses: None

    def start(self, *attachments: Attach) -> None:
        """Start p2pd. Raises DaemonError, with what p2pd said, when it does not come up."""
        self._attachments = list(attachments)
        self._thread.start()
        try:
            self.run(self._start())
            self._watcher = self.run(self._create_watcher())
        except BaseException:  # also when the worker is stopped meanwhile: a daemon outlives its parent
            self.stop()
            raise

    def stop(self) -> None:
        """Stop p2pd and the thread."""
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the swarm's loop and wait for it."""
        return self.submit(work).result()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the swarm's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def ready(self) -> bool:
        """Whether p2pd is up."""
        child = self._p2p._child if self._p2p is not None else None
        return child is not None and child.returncode is None

    @property
    def p2p(self) -> P2P:
        """The live P2P. Raises DaemonError while p2pd is down."""
        if self._p2p is None or not self.ready:
            raise DaemonError("the libp2p daemon is down", hint="it is being restarted; see `r1node doctor`")
        return self._p2p

    @property
    def peer_id(self) -> str:
        """This node's peer id, base58."""
        return str(self.p2p.peer_id.to_base58())

    def addresses(self) -> list[str]:
        """Multiaddresses that peers are told, with /p2p/<peer id>. Raises DaemonError while p2pd is down."""
        return self.run(self._addresses())

    async def connect(self, peer_id: str, addresses: Sequence[str]) -> PeerID:
        """Make sure there is a connection to a peer. Raises SwarmError when it can't be reached."""
        try:
            peer = PeerID.from_base58(peer_id)
            plain = [Multiaddr(address.removesuffix(f"/p2p/{peer_id}")) for address in addresses]
        except (ValueError, LookupError, MultiaddrError) as error:
            raise SwarmError(f"peer {peer_id[:80]!r} announces what is no address: {error}") from error
        try:
            await asyncio.wait_for(self.p2p._client.connect(peer, plain), 15)
        except (ControlFailure, TimeoutError, OSError) as error:
            raise SwarmError(f"cannot reach peer {peer_id} at {', '.join(addresses)}: {error}") from error
        return peer

    async def _create_watcher(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._watch())

    async def _start(self) -> None:
        last: Exception | None = None
        for delay in (0.0, *BACKOFF):
            await asyncio.sleep(delay)
            try:
                self._p2p = await self._create()
            except (P2PDaemonError, ControlFailure, OSError) as error:
                last = error
                log.warning("p2pd did not start: %s; trying again", error)
                continue
            return
        raise DaemonError(
            f"the libp2p daemon (p2pd) did not start: {last}",
            hint="check that the listen address is free and that `r1node doctor` finds p2pd executable",
        )

    async def _create(self) -> P2P:
        """One start of p2pd. One that took no handlers has ended before the error is raised."""
        with identity_file(self._worker) as path:
            p2p = await create(
                identity_path=path,
                host_maddrs=self._listen,
                announce_maddrs=self._announce or None,
                nat_port_map=self._port_map,
            )
        try:
            for attach in self._attachments:
                await attach(p2p)
        except BaseException:
            await p2p.shutdown()
            raise
        return p2p

    async def _addresses(self) -> list[str]:
        p2p = self.p2p
        try:
            _, addresses = await p2p._client.identify()
        except (ControlFailure, OSError, asyncio.IncompleteReadError) as error:
            raise DaemonError(f"the libp2p daemon does not answer: {error}") from error
        suffix = f"/p2p/{p2p.peer_id.to_base58()}"
        found = [f"{address}{suffix}" for address in addresses]
        return found if self._announce else worth_announcing(found)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if self._p2p is not None and self.ready:
                continue
            log.warning("p2pd is down; restarting it")
            await self._let_go()
            try:
                await self._start()
            except DaemonError as error:
                log.error("%s", error)
                continue
            self.restarts += 1
            addresses = await self._addresses()
            await asyncio.to_thread(self.on_restart, addresses)

    async def _let_go(self) -> None:
        """Of the daemon, dead or alive, and of what listens to it."""
        if self._p2p is not None:
            await self._p2p.shutdown()
            self._p2p = None

    async def _stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        await self._let_go()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()  # an exchange that broke holds its stream in one

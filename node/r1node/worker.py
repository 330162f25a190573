"""From a host's keys to a worker at work: register on chain, join the swarm, open a session, run the agent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain
from r1net.cli.output import Amount
from r1net.errors import PreflightError, ProtocolError, Refused, Unreachable
from r1net.protocol.signing import Domain
from r1net.protocol.views import NetworkInfo
from r1net.protocol.work import Capability
from r1net.throttle import Throttle
from r1net.transport import Transport
from r1node.agent import Agent
from r1node.defender import defended
from r1node.devices import gpus, hardware, own_device
from r1node.errands import Errands
from r1node.events import Events
from r1node.hours import Hours
from r1node.jobs import Host
from r1node.locks import exclusive, stop_requested
from r1node.network import connect_chain, network_info, signing_domain
from r1node.patience import patiently
from r1node.reaching import Reaching
from r1node.rest import Rest, thermometer
from r1node.rollout.choice import choose
from r1node.sandbox import open_sandbox
from r1node.session import Session
from r1node.settings import Settings
from r1node.stopping import Stopping
from r1node.store import Store
from r1node.swarm.allreduce import AveragingService
from r1node.swarm.daemon import Swarm
from r1node.swarm.dialling import Doorbell
from r1node.terms import Terms
from r1node.trainee import Trainee
from r1node.training.exact import require
from r1node.verification.defence import Defence

BITS = 1e6 / 8
"""Bytes a second of one Mbit/s."""

LOOK = 1.0
"""Seconds between two looks whether the worker is asked to stop."""


def run_worker(settings: Settings, owner: LocalAccount, worker: LocalAccount, events: Events) -> None:
    """Join and work until SIGINT or SIGTERM. Raises PreflightError when the worker runs already."""
    with ExitStack() as stack:
        stack.enter_context(exclusive(settings.worker_folder))
        device = stack.enter_context(own_device(settings.device, settings.home, gpus()))
        _tune(settings, device)
        engine = choose(settings, device)
        sandbox = stack.enter_context(closing(open_sandbox(settings)))  # before anything is staked
        rest = resting(settings, device)
        info, chain = patiently(lambda: _enrolled(settings, owner, worker, events), events, settings.patience)
        domain = signing_domain(settings, info)
        source = Transport(settings.coordinator, allow_plain_http=settings.allow_plain_http)
        defence = Defence(chain, source, domain, owner.address, settings.home)
        stack.enter_context(defended(defence, settings.home, events))  # whatever the coordinator makes of this worker
        swarm, averaging = open_swarm(settings, worker), AveragingService()
        swarm.start(averaging.attach, Doorbell(domain, worker).attach)
        stack.callback(swarm.stop)
        session = _join(settings, owner, worker, swarm, domain, device, events)
        events.note("engine", f"{engine.name}: {engine.reason}")
        host = Host(device, engine, sandbox, Store(settings.store_folder, settings.store_bytes))
        terms = Terms(settings.floors(chain.token.address), chain.escrow.job)
        reaching = Reaching(session, swarm, domain, events)
        can: tuple[Capability, ...] = ("rollout", "train", "verify") if settings.train else ("rollout", "verify")
        errands, folder = Errands(session, events), settings.worker_folder
        agent = Agent(errands, Trainee(errands, swarm, averaging, folder), folder, host, terms, reaching, rest, can)
        stopping = Stopping(agent, events)
        with _stopping_on_request(folder):
            agent.run()
        stopping.done()
        _say_goodbye(session, events)
    events.note("left", "stopped on request")


def _tune(settings: Settings, device: str) -> None:
    """What a worker may take of its device. Raises PreflightError where this machine comes to other versions."""
    torch.set_num_threads(settings.threads or os.cpu_count() or 1)
    if device != "cpu" and settings.gpu_memory < 1:
        torch.cuda.set_per_process_memory_fraction(settings.gpu_memory, device)
    require()


def _join(
    settings: Settings,
    owner: LocalAccount,
    worker: LocalAccount,
    swarm: Swarm,
    domain: Domain,
    device: str,
    events: Events,
) -> Session:
    """A session with the coordinator, as patiently as it takes."""
    session = Session(
        settings.coordinator,
        domain,
        owner.address,
        worker,
        swarm.peer_id,
        software=f"r1net {version('r1net')}",
        hardware=hardware(device),
        allow_plain_http=settings.allow_plain_http,
    )
    session.transport.throttle = Throttle(settings.bandwidth * BITS) if settings.bandwidth else None
    patiently(lambda: session.open(swarm.addresses()), events, settings.patience)
    swarm.on_restart = lambda addresses: _announce(session, addresses, events)
    events.note("joined", f"worker {worker.address} for {owner.address} on {device}", peer_id=swarm.peer_id)
    return session


def open_swarm(settings: Settings, worker: LocalAccount) -> Swarm:
    """A place among the peers as the settings want it, not started yet."""
    return Swarm(worker, settings.listen_addresses, settings.announced_addresses, settings.port_map)


def _enrolled(
    settings: Settings, owner: LocalAccount, worker: LocalAccount, events: Events
) -> tuple[NetworkInfo, Chain]:
    info = network_info(settings)
    chain = connect_chain(settings, info, owner)
    enrol(chain, settings, owner, worker, events)
    return info, chain


def enrol(chain: Chain, settings: Settings, owner: LocalAccount, worker: LocalAccount, events: Events) -> None:
    """Make sure that the owner has a stake and the worker is bound to it. Does nothing when all is in place."""
    bound = chain.registry.owner_of(worker.address)
    if bound is not None and bound != owner.address:
        raise PreflightError(
            f"worker {worker.address} is bound to another owner, {bound}", hint="use another --worker name"
        )
    if chain.registry.stake_of(owner.address) == 0:
        stake = first_stake(chain, settings)
        held = chain.token.balance(owner.address)
        if held < stake:
            raise PreflightError(
                f"{owner.address} holds {Amount(held)} and needs {Amount(stake)} to stake",
                hint="send R1 to this address",
            )
        receipt = chain.registry.register(stake, worker if bound is None else None)  # who left is bound still
        events.note("staked", str(Amount(stake)), transaction=receipt.tx_hash)
    elif bound is None:
        receipt = chain.registry.bind_worker(worker)
        events.note("bound", f"worker {worker.address}", transaction=receipt.tx_hash)
    if not chain.registry.is_active(owner.address):
        raise PreflightError(f"{owner.address} is not active in the registry", hint=_way_back(chain, owner.address))


def first_stake(chain: Chain, settings: Settings) -> int:
    """What a host without a stake puts in, in wei of R1."""
    return settings.stake if settings.stake is not None else chain.registry.min_stake()


def _way_back(chain: Chain, owner: str) -> str:
    if chain.registry.node(owner).exit_at:
        return "it is leaving; to stay after all: r1node leave --cancel"
    return f"its stake is below the minimum of {Amount(chain.registry.min_stake())}: r1node stake add"


def resting(settings: Settings, device: str) -> Rest:
    """When the worker is to rest. Raises PreflightError where a limit can't be watched."""
    folders = settings.home, settings.worker_folder
    return Rest(folders, Hours.parse(settings.hours), settings.max_temperature, thermometer(device))


def _announce(session: Session, addresses: list[str], events: Events) -> None:
    if set(addresses) == set(session.maddrs):
        events.note("p2p", "the libp2p daemon was restarted, at the same address")
        return
    events.note("p2p", "the libp2p daemon was restarted; announcing its new address")
    try:
        session.open(addresses)
    except (Unreachable, Refused) as error:
        events.note("p2p", f"could not announce it: {error.message}")


def _say_goodbye(session: Session, events: Events) -> None:
    try:
        session.leave()
    except (Unreachable, Refused, ProtocolError) as error:
        events.note("leaving", f"could not tell the coordinator: {error.message}; it will notice")


@contextmanager
def _stopping_on_request(folder: Path) -> Iterator[None]:
    """What `r1node leave` asks for counts as Ctrl-C: a signal to the main thread also ends its wait for work."""
    over = threading.Event()
    main = threading.main_thread()

    def look() -> None:
        while not over.wait(LOOK):
            if stop_requested(folder) and main.ident is not None:
                signal.pthread_kill(main.ident, signal.SIGINT)
                return

    threading.Thread(target=look, name="drain", daemon=True).start()
    try:
        yield
    finally:
        over.set()

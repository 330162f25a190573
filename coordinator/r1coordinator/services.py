"""Everything the routes and background tasks work with, put together once."""

from __future__ import annotations

import importlib.metadata
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from eth_account.signers.local import LocalAccount

from r1coordinator.api.health import Pulse
from r1coordinator.api.limits import Limits
from r1coordinator.bell import Bell
from r1coordinator.chain import ChainPort, RealChain
from r1coordinator.lookups import Askers, Lookup
from r1coordinator.registrations import Registrations
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.mixes import read_mix
from r1coordinator.settings import Settings
from r1coordinator.store.blobs import BlobStore
from r1coordinator.store.cache import ByteCache
from r1coordinator.store.database import Database, require_head, telling
from r1coordinator.store.refusals import Refusals
from r1coordinator.store.workers import resume_clocks
from r1coordinator.verification.scorers import Scorers
from r1coordinator.verification.submission import Admission
from r1net.chain import Deployment, load_keystore
from r1net.chain.keystore import read_password
from r1net.errors import UsageError
from r1net.protocol.job import JobView
from r1net.protocol.signing import Domain
from r1net.protocol.trace import TraceBundle
from r1net.protocol.views import NetworkInfo
from r1net.sandbox import SandboxPool

_ASKERS = 4
"""Threads that ask the registry."""
_SUBMITTERS, _WAITING_JOBS = 2, 8
"""Threads that take jobs in, and jobs that may wait for them."""
_REFUSED_JOB = 2.0
"""Seconds for which a job that was refused is refused again without asking the chain."""
_LONG_CHECK = 120.0


@dataclass(frozen=True)
class Services:
    """The coordinator without its web server."""

    settings: Settings
    db: Database
    blobs: BlobStore
    sandbox: SandboxPool
    scorers: Scorers
    ctx: Context
    domain: Domain
    key: LocalAccount
    chain: ChainPort
    bell: Bell
    clock: Callable[[], float]
    network: NetworkInfo
    admission: Admission
    registrations: Registrations
    submissions: Lookup[JobView]
    refusals: Refusals
    limits: Limits
    pulse: Pulse
    bundles: ByteCache[TraceBundle]
    askers: tuple[Askers, ...]

    def close(self) -> None:
        """Let go of the database. The sandbox belongs to whoever made it."""
        for askers in self.askers:
            askers.close()
        self.refusals.flush()
        self.db.close()


def load_key(settings: Settings) -> LocalAccount:
    """The coordinator's key. Raises UsageError or KeyFileError saying what to do."""
    if settings.keystore is None or settings.password_file is None:
        raise UsageError(
            "no key to sign receipts with", hint="give --keystore and --password-file (or R1_COORDINATOR_KEYSTORE, …)"
        )
    return load_keystore(settings.keystore, read_password(settings.password_file))


def new_id() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(16)


def build(
    settings: Settings,
    deployment: Deployment,
    key: LocalAccount,
    sandbox: SandboxPool,
    chain: ChainPort | None = None,
    clock: Callable[[], float] = time.time,
) -> Services:
    """Open the stores and take up the work where it was left.

    Raises PreflightError on an old database, and where this machine can't hold strangers' text.
    """
    sandbox.start()
    db = Database(settings.database)
    require_head(db)
    with telling(), db.write() as s:
        resume_clocks(s, clock())
    blobs = BlobStore(settings.blobs)
    blobs.discard_unfinished()
    scorers, bell = Scorers(blobs, sandbox, partial(read_mix, db)), Bell()
    domain = Domain(deployment.chain_id, deployment.address("NodeRegistry"))
    chain = chain or RealChain(settings.rpc_url, deployment, key, int(settings.max_fee_gwei * 10**9))
    keep = settings.chain_answer_seconds
    registry, escrow = Askers(_ASKERS, settings.chain_queue), Askers(_SUBMITTERS, _WAITING_JOBS)
    r1 = deployment.contracts.get("R1Token")
    ctx = Context(settings=settings, chain_id=deployment.chain_id, new_id=new_id, r1=r1)
    return Services(
        settings=settings,
        db=db,
        blobs=blobs,
        sandbox=sandbox,
        scorers=scorers,
        ctx=ctx,
        domain=domain,
        key=key,
        chain=chain,
        bell=bell,
        clock=clock,
        network=NetworkInfo(
            chain_id=deployment.chain_id,
            rpc_url=settings.public_rpc_url,
            contracts=deployment.contracts,
            coordinator=key.address,
            software=f"r1coordinator {importlib.metadata.version('r1net')}",
        ),
        admission=Admission(db, blobs, scorers, ctx, domain, key, bell.ring),
        registrations=Registrations(chain, registry, keep, settings.workers_per_stake),
        submissions=Lookup(escrow, lambda _: 0.0, min(keep, _REFUSED_JOB), _LONG_CHECK),
        refusals=Refusals(db),
        limits=Limits(settings),
        pulse=Pulse(db),
        bundles=ByteCache(settings.cache_bytes),
        askers=(registry, escrow),
    )

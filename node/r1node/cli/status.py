"""`r1node status`: what needs the host first, then what its workers do and what that brings."""

from __future__ import annotations

import time
from dataclasses import dataclass

import typer

from r1net.chain import Chain
from r1net.chain.keystore import keystore_address
from r1net.cli.output import Amount
from r1net.errors import ProtocolError, R1Error, Refused, Unreachable
from r1net.protocol.job import JobView
from r1net.protocol.reach import Reach
from r1net.protocol.views import NodeView
from r1net.transport import Transport
from r1node.cli.context import Context
from r1node.cli.disputes import DisputeRow, row_of
from r1node.cli.rewards import Purse
from r1node.hourly import WINDOW, an_hour, price_of, worked_on
from r1node.hours import Hours
from r1node.locks import running
from r1node.rest import Rest


@dataclass(frozen=True)
class OwnDispute(DisputeRow):
    """A dispute that isn't over, and this host's part in it: accused, challenger or juror."""

    part: str


@dataclass(frozen=True)
class WorkerStatus:
    """One worker of this host. `process`: whether it runs on this machine; the rest is the coordinator's view.
    `standing` are points for broken leases (0 is best); `reach`: by how many owners' workers it was reached;
    `reason` says what for, and why there is no work now. `rests`: why it takes no work by its host's will."""

    worker: str
    process: bool
    rests: str | None
    state: str
    doing: str | None
    accepted_tokens: int
    rejected: int
    standing: float
    reach: str
    reason: str | None
    address: str


@dataclass(frozen=True)
class JobStatus:
    """A job that was worked on in the last hour: what it pays for a token of rollouts, and what the work of this
    machine's workers brought an hour, before checks; None after the first task."""

    name: str
    price: Amount
    token: str
    an_hour: Amount | None
    tokens: int
    job: str


@dataclass(frozen=True)
class HostStatus:
    """All of it. `court` says in words whether anything is to be done about disputes."""

    court: str
    disputes: list[OwnDispute]
    owner: str
    stake: str
    workers: list[WorkerStatus]
    jobs: list[JobStatus]


def status(ctx: typer.Context) -> HostStatus:
    """Disputes first; then the stake, every worker and what it does, and every job and what it brings an hour.

    What can't be asked now says so, and the rest is shown all the same.
    """
    context: Context = ctx.obj
    owner, source = context.address(), context.coordinator()
    chain = _chain(context)
    court, disputes = (f"not known: {chain}", []) if isinstance(chain, str) else _court(chain, owner)
    return HostStatus(
        court=court,
        disputes=disputes,
        owner=owner,
        stake=f"not known: {chain}" if isinstance(chain, str) else _stake(chain, owner),
        workers=_workers(context, source),
        jobs=[] if isinstance(chain, str) else _jobs(context, source, Purse(chain)),
    )


def _chain(context: Context) -> Chain | str:
    """The chain, or why there is none."""
    try:
        return context.chain()
    except R1Error as error:
        return error.message


def _court(chain: Chain, owner: str) -> tuple[str, list[OwnDispute]]:
    found = [OwnDispute(**vars(row_of(chain, state)), part=part) for state, part in chain.disputes.involving(owner)]
    accused = [row for row in found if row.part == "accused"]
    if not accused:
        return "not accused of anything", found
    open_ = [row for row in accused if row.phase == "open"]
    if open_:
        return f"ACCUSED: {len(open_)} to answer; a running `r1node join` does so by itself", found
    return f"ACCUSED: {len(accused)} before the jurors", found


def _stake(chain: Chain, owner: str) -> str:
    node = chain.registry.node(owner)
    if node.exit_at:
        return f"{Amount(node.stake)}, leaving: r1node leave"
    if not chain.registry.is_active(owner):
        return f"{Amount(node.stake)}, not active: r1node doctor"
    return f"{Amount(node.stake)}, active"


def _workers(context: Context, source: Transport) -> list[WorkerStatus]:
    unseen = "unknown to the coordinator"
    try:
        seen = {node.worker: node for node in source.get_many("/v1/nodes", NodeView)}
    except (Unreachable, Refused, ProtocolError) as error:
        seen, unseen = {}, f"not known: {error.message}"
    rows = []
    for folder in context.settings.worker_folders:
        address = keystore_address(folder / "key.json")
        node = seen.get(address)
        rows.append(
            WorkerStatus(
                worker=folder.name,
                process=running(folder),
                rests=Rest((context.settings.home, folder), Hours.parse(context.settings.hours)).reason(),
                state=node.state if node else unseen,
                doing=node.doing if node else None,
                accepted_tokens=node.accepted_tokens if node else 0,
                rejected=node.rejected if node else 0,
                standing=node.standing if node else 0.0,
                reach=_reach(node.reach) if node else "unknown",
                reason=_reason(node) if node else None,
                address=address,
            )
        )
    return rows


def _reach(reach: Reach) -> str:
    return f"{reach.state} by {reach.peers}" if reach.state == "reachable" else reach.state


def _reason(node: NodeView) -> str | None:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(node.reasons.items()))
    return "; ".join(part for part in (node.refused, counts) if part) or None


def _jobs(context: Context, source: Transport, purse: Purse) -> list[JobStatus]:
    now = time.time()
    rows = []
    for job, done in worked_on(context.settings.home / "workers", now - WINDOW).items():
        try:
            spec = source.get(f"/v1/jobs/{job}", JobView).spec
        except (Unreachable, Refused, ProtocolError):
            continue  # without its prices there is nothing to say
        brings = an_hour(done, spec.prices, now)
        rows.append(
            JobStatus(
                name=spec.name,
                price=purse.amount(spec.payment_token, price_of("rollout", spec.prices)),
                token=purse.name(spec.payment_token),
                an_hour=None if brings is None else purse.amount(spec.payment_token, brings),
                tokens=sum(work.tokens for work in done),
                job=job,
            )
        )
    return rows


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(status)

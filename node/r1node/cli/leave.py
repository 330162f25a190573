"""`r1node leave`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from r1net.chain import Chain, NodeState
from r1net.cli.output import Amount, Moment
from r1net.errors import ChainUnavailable, UsageError
from r1node.cli.context import Context
from r1node.stake import depart, stopped_workers, take_back, way_out

POLL = 5.0
"""Seconds between two looks at the chain with --wait."""


@dataclass(frozen=True)
class Leaving:
    """How far a host is with leaving. `stake` lies in the registry still, `returned` came back by this command. The
    stake can be had once `withdrawable_from` has passed and nothing of `held_by` holds it."""

    state: Literal["leaving", "left", "staying"]
    owner: str
    stake: Amount
    returned: Amount
    withdrawable_from: Moment | None
    held_by: list[str]
    next_step: str


def leave(
    ctx: typer.Context,
    wait: Annotated[bool, typer.Option("--wait", help="stay until the stake is back in the wallet")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="stay in the network after all")] = False,
) -> Leaving:
    """Leave the network; called again after the date that it names, bring the stake back.

    Workers of this host finish their tasks first. The stake comes back into the owner's wallet, after the unbonding
    delay and once no dispute holds it. Rewards can be claimed before and after.
    """
    if wait and cancel:
        raise UsageError("--wait waits for the stake, --cancel keeps it in", hint="choose one")
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    node = chain.registry.node(owner.address)
    if node.stake == 0:
        return _left(node, 0)
    if cancel:
        return _stay(chain, node)
    folders = context.settings.worker_folders
    if node.workers > len(folders):
        words = (
            f"{node.workers} workers act for this owner, {len(folders)} of this machine: stop the others where they run"
        )
        context.note("workers", words)
    with stopped_workers(folders, context.note):
        depart(chain, owner.address, context.note)
        if wait:
            return _await(context, chain, owner.address)
        returned = take_back(chain, owner.address)
        return _look(chain, owner.address, returned)


def _await(context: Context, chain: Chain, owner: str) -> Leaving:
    """Until the stake is back, however often the chain is away meanwhile."""
    told = ""
    while True:
        try:
            shown = _look(chain, owner, take_back(chain, owner))
        except ChainUnavailable as error:
            words = f"{error.message}; trying again"
        else:
            if shown.state == "left":
                return shown
            held = f", held by {', '.join(shown.held_by)}" if shown.held_by else ""
            words = f"{shown.stake} may come back from {shown.withdrawable_from} on{held}"
        if words != told:
            context.note("waiting", words)
        told = words
        time.sleep(POLL)


def _stay(chain: Chain, node: NodeState) -> Leaving:
    if node.exit_at:
        chain.registry.reactivate()
    return Leaving("staying", node.owner, Amount(node.stake), Amount(0), None, [], "r1node join")


def _look(chain: Chain, owner: str, returned: int) -> Leaving:
    node = chain.registry.node(owner)
    if node.stake == 0:
        return _left(node, returned)
    way = way_out(chain, node)
    then = "once nothing holds the stake" if way.held_by else "after that date"
    return Leaving(
        state="leaving",
        owner=owner,
        stake=Amount(node.stake),
        returned=Amount(0),
        withdrawable_from=Moment(way.at),
        held_by=list(way.held_by),
        next_step=f"{then}: `r1node leave` again; to stay after all: `r1node leave --cancel`",
    )


def _left(node: NodeState, returned: int) -> Leaving:
    next_step = "`r1node claim` brings what is still due, `r1node wallet send` takes it all elsewhere"
    return Leaving("left", node.owner, Amount(0), Amount(returned), None, [], next_step)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(leave)

"""`r1node stake`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.chain import Chain
from r1net.cli.output import Amount, Moment
from r1net.errors import ChainError, UsageError
from r1node.amounts import r1_wei
from r1node.cli.context import Context
from r1node.stake import way_out


@dataclass(frozen=True)
class Stake:
    """What a host has put in. `at_risk` is what one conviction takes of it, `locked` what disputes and the like hold
    now, `debt` what a slash has left to pay. It can be had from `withdrawable_from` on, which of a host that stays is
    the date if it left now, and once nothing of `held_by` holds it."""

    owner: str
    active: bool
    leaving: bool
    stake: Amount
    minimum: Amount
    at_risk: Amount
    locked: Amount
    debt: Amount
    withdrawable_from: Moment | None
    held_by: list[str]
    next_step: str


def status(ctx: typer.Context) -> Stake:
    """What this host has at stake, what of it is at risk, and when it can be had back."""
    context: Context = ctx.obj
    return _shown(context.chain(), context.address())


def add(ctx: typer.Context, amount: Annotated[str, typer.Argument(help='"80 R1", or "5 wei"')]) -> Stake:
    """Put more in. What a slash has left unpaid is paid first."""
    context: Context = ctx.obj
    wei = r1_wei(amount)
    owner = context.owner()
    chain = context.chain(owner)
    node = chain.registry.node(owner.address)
    if node.stake == 0 and node.debt == 0:
        raise UsageError(f"{owner.address} has no stake to add to", hint="`r1node join` puts in the first one")
    held = chain.token.balance(owner.address)
    if held < wei:
        raise ChainError(f"{owner.address} holds {Amount(held)}, not {Amount(wei)}", hint="send R1 to this address")
    receipt = chain.registry.add_stake(wei)
    context.note("staked", f"{Amount(wei)} for {Amount(receipt.fee, 'coin')} of gas: {receipt.tx_hash}")
    if chain.pool.contains(owner.address):
        context.note("jury", "for the pool of jurors to see it: r1node jury update")
    return _shown(chain, owner.address)


def _shown(chain: Chain, owner: str) -> Stake:
    node = chain.registry.node(owner)
    way = way_out(chain, node)
    at = way.at or chain.now() + chain.registry.unbonding_delay()
    return Stake(
        owner=owner,
        active=node.active,
        leaving=node.exit_at != 0,
        stake=Amount(node.stake),
        minimum=Amount(chain.registry.min_stake()),
        at_risk=Amount(min(chain.disputes.penalty(), node.stake)),
        locked=Amount(node.locked),
        debt=Amount(node.debt),
        withdrawable_from=Moment(at) if node.stake else None,
        held_by=list(way.held_by),
        next_step=_next(node.stake, node.exit_at),
    )


def _next(stake: int, exit_at: int) -> str:
    if stake == 0:
        return "`r1node join` puts in the first stake"
    if exit_at:
        return "`r1node leave` brings it back when it may go, `r1node leave --cancel` keeps it in"
    return "`r1node leave` starts to bring it back, `r1node stake add` puts more in"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="what this host has at stake", no_args_is_help=True)
    group.command()(status)
    group.command()(add)
    app.add_typer(group, name="stake")

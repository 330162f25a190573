"""`r1node rewards` and `r1node claim`."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from r1net.errors import ProtocolError, Refused
from r1net.protocol.merkle import verify
from r1net.protocol.settlement import REWARD_LEAF, ClaimProof
from r1net.protocol.views import AccountRewards
from r1node.cli.context import Context


@dataclass(frozen=True)
class Claimed:
    """A claim's outcome. Amounts in wei."""

    account: str
    token: str
    epoch: int
    paid: int
    total: int
    transaction: str | None


def rewards(ctx: typer.Context) -> AccountRewards:
    """What this host earned, and the rows that say why."""
    context: Context = ctx.obj
    return context.coordinator().get(f"/v1/accounts/{context.address()}/rewards", AccountRewards)


def claim(ctx: typer.Context) -> list[Claimed]:
    """Claim every final reward on chain. Safe to repeat."""
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    earned = rewards(ctx)
    if earned.token is None:
        return []
    try:
        proof = context.coordinator().get(f"/v1/accounts/{owner.address}/claim", ClaimProof, token=earned.token)
    except Refused as refusal:
        if refusal.status == 404:
            return []  # nothing of this account is final yet
        raise
    row = (proof.token, proof.account, proof.cumulative)
    if not verify(chain.rewards.root(), REWARD_LEAF, row, proof.proof):
        raise ProtocolError(
            "the coordinator's proof does not fit the root on chain", hint="try again once the epoch is final"
        )
    before = chain.rewards.claimed(proof.token, owner.address)
    if before >= proof.cumulative:
        return [Claimed(owner.address, proof.token, proof.epoch, 0, before, None)]
    receipt = chain.rewards.claim(proof.token, owner.address, proof.cumulative, proof.proof)
    paid = chain.rewards.paid(receipt)
    return [Claimed(owner.address, proof.token, proof.epoch, paid, before + paid, receipt.tx_hash)]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rewards)
    app.command()(claim)

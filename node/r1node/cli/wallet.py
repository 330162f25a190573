"""`r1node wallet`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.chain import create_keystore
from r1net.cli.output import Amount
from r1net.errors import ChainError, R1Error, UsageError
from r1node.cli.context import Context
from r1node.payout import Ledger, Payment, plan


@dataclass(frozen=True)
class Wallet:
    """The host's money: in the wallet, at stake, and coin for gas."""

    owner: str
    wallet_file: Path
    r1_balance: Amount
    gas_balance: Amount
    stake: Amount
    active: bool
    next_step: str


@dataclass(frozen=True)
class Sent:
    """What was sent, and what the gas cost."""

    to: str
    amount: Amount
    token: str
    gas: Amount
    transaction: str


@dataclass(frozen=True)
class Exported:
    """A copy of the wallet's key, encrypted with a password of its own (keystore V3)."""

    owner: str
    file: Path
    next_step: str


def wallet(ctx: typer.Context) -> Wallet | None:
    """Address and balances of the wallet; sending from it, and a copy of its key for other programs."""
    if ctx.invoked_subcommand is not None:
        return None
    context: Context = ctx.obj
    owner = context.address()
    try:
        chain = context.chain()
    except R1Error as error:
        raise ChainError(
            f"the wallet is {owner}; its balances are unknown: {error.message}", hint=error.hint
        ) from error
    return Wallet(
        owner=owner,
        wallet_file=context.settings.owner_keystore,
        r1_balance=Amount(chain.token.balance(owner)),
        gas_balance=Amount(chain.coin_balance(owner), "coin"),
        stake=Amount(chain.registry.stake_of(owner)),
        active=chain.registry.is_active(owner),
        next_step="`r1node wallet send` takes money elsewhere, `r1node stake status` tells what is at stake",
    )


def send(
    ctx: typer.Context,
    to: Annotated[str, typer.Argument(help="address, with its checksum's capital letters")],
    amount: Annotated[str, typer.Argument(help='"80 R1", "0.1 coin" (what pays for gas), "12.5 0xTOKEN", "all R1", …')],
    yes: Annotated[bool, typer.Option("--yes", help="don't ask; for programs")] = False,
    again: Annotated[bool, typer.Option("--again", help="also if the same was cut off before its end")] = False,
) -> Sent:
    """Send R1, the chain's coin or another token from the wallet to an address."""
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    payment = plan(chain, owner.address, to, amount)
    ledger = Ledger(context.settings.home / "payment.json")
    if not again:
        ledger.require_new(payment)
    _agree(context, payment, yes)
    with ledger.begun(payment):
        receipt = payment.send()
    return Sent(to, payment.amount, payment.unit, Amount(receipt.fee, "coin"), receipt.tx_hash)


def _agree(context: Context, payment: Payment, yes: bool) -> None:
    """Raises UsageError unless the payment is agreed to."""
    context.note("send", f"{payment.amount} {payment.unit} to {payment.to}{payment.warning}")
    context.note("send", f"for {Amount(payment.gas, 'coin')} of gas at most; it can't be taken back")
    answer = yes or context.asks("Send it?")
    if answer is None:
        raise UsageError("nobody can be asked without a terminal", hint="--yes sends without a question")
    if not answer:
        raise UsageError("nothing was sent")


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="file to write; must not exist")],
    new_password_file: Annotated[Path | None, typer.Option(help="with the copy's password; else asked for")] = None,
) -> Exported:
    """Write the wallet's key to a file that other wallets import (keystore V3), encrypted with a new password."""
    context: Context = ctx.obj
    owner = context.owner()
    context.note("export", "the new password guards the copy: whoever has both has the money and the stake")
    password = context.ask_password(new_password_file, "--new-password-file", new=True)
    create_keystore(out.expanduser(), password, key=bytes(owner.key))
    return Exported(owner.address, out, "import it where you need it, as a keystore or JSON file; then delete it here")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(invoke_without_command=True, callback=wallet)
    group.command()(send)
    group.command()(export)
    app.add_typer(group, name="wallet")

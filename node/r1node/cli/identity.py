"""`r1node init`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer
from eth_account.signers.local import LocalAccount

from r1net.chain import create_keystore, peer_id_of
from r1net.chain.keystore import keystore_address, load_keystore
from r1node.cli.context import Context


@dataclass(frozen=True)
class Keys:
    """What `init` made or found."""

    owner: str
    worker: str
    peer_id: str
    wallet_file: Path
    worker_file: Path
    next_step: str


def init(ctx: typer.Context) -> Keys:
    """Make the wallet and this worker's key, both encrypted. Keeps what exists."""
    context: Context = ctx.obj
    settings = context.settings
    password = context.password(new=not settings.owner_keystore.exists())
    if settings.owner_keystore.exists():
        load_keystore(settings.owner_keystore, password)  # the worker's key gets the same password
    else:
        create_keystore(settings.owner_keystore, password)
    worker = worker_key(settings.worker_keystore, password)
    return Keys(
        owner=keystore_address(settings.owner_keystore),
        worker=worker.address,
        peer_id=peer_id_of(worker),
        wallet_file=settings.owner_keystore,
        worker_file=settings.worker_keystore,
        next_step="send R1 for the stake, and some coin for gas, to the owner's address; then: r1node join",
    )


def worker_key(file: Path, password: str) -> LocalAccount:
    """A worker's key, made if there is none."""
    return load_keystore(file, password) if file.exists() else create_keystore(file, password)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(init)

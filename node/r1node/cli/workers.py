"""`r1node worker`: list, rotate, retire."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.chain import Chain, load_keystore
from r1net.chain.keystore import keystore_address
from r1net.errors import UsageError
from r1node.cli.context import Context
from r1node.cli.identity import worker_key
from r1node.locks import running
from r1node.stake import stopped_workers

KEY, NEXT = "key.json", "key.next.json"
NameArgument = Annotated[str, typer.Argument(help="name of the worker, as `r1node worker list` shows it")]


@dataclass(frozen=True)
class WorkerKey:
    """A worker of this machine. `bound`: whether it may act for the owner."""

    worker: str
    address: str
    bound: bool
    process: bool


@dataclass(frozen=True)
class Changed:
    """What became of a worker: its new address, if it has one; the old key is kept in `old_key`."""

    worker: str
    address: str | None
    old_address: str | None
    old_key: Path | None
    next_step: str


def list_(ctx: typer.Context) -> list[WorkerKey]:
    """The workers of this machine, and whether the chain lets them act for the owner."""
    context: Context = ctx.obj
    chain, owner = context.chain(), context.address()
    rows = []
    for folder in context.settings.worker_folders:
        address = keystore_address(folder / KEY)
        bound = chain.registry.owner_of(address) == owner
        rows.append(WorkerKey(folder.name, address, bound, running(folder)))
    return rows


def rotate(ctx: typer.Context, worker: NameArgument) -> Changed:
    """Give a worker a new key, after its task in hand: the old one acts for the owner no more.

    For a key that may be known to somebody else. It may break off anywhere: type it again.
    """
    context: Context = ctx.obj
    folder, password = _folder(context, worker), context.password()
    owner = load_keystore(context.settings.owner_keystore, password)
    chain = context.chain(owner)
    with stopped_workers([folder], context.note):
        fresh = worker_key(folder / NEXT, password)
        if chain.registry.owner_of(fresh.address) is None:
            chain.registry.bind_worker(fresh)
        old, kept = _end(chain, folder)
        os.replace(folder / NEXT, folder / KEY)
    return Changed(worker, fresh.address, old, kept, f"r1node join --worker {worker}")


def retire(ctx: typer.Context, worker: NameArgument) -> Changed:
    """End a worker for good, after its task in hand: a place of the stake is free for another. Its past work is still
    paid, and answered for."""
    context: Context = ctx.obj
    folder = _folder(context, worker)
    chain = context.chain(context.owner())
    with stopped_workers([folder], context.note):
        old, kept = _end(chain, folder)
    return Changed(worker, None, old, kept, "`r1node leave` brings the stake back, once all workers are to end")


def _folder(context: Context, worker: str) -> Path:
    for name in (KEY, NEXT):
        for file in (context.settings.home / "workers").glob(f"*/{name}"):
            if file.parent.name == worker:
                return file.parent
    raise UsageError(f"this machine has no worker {worker[:40]!r}", hint="r1node worker list")


def _end(chain: Chain, folder: Path) -> tuple[str | None, Path | None]:
    """Unbind a worker's key and put it aside, unless an earlier call has done so."""
    if not (folder / KEY).exists():
        return None, None
    address = keystore_address(folder / KEY)
    owner = chain.sender.require_account().address
    if chain.registry.owner_of(address) == owner:
        chain.registry.unbind_worker(address)
    kept = folder / f"key-{address}.json"
    os.replace(folder / KEY, kept)
    return address, kept


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="workers of this machine and their keys", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(rotate)
    group.command()(retire)
    app.add_typer(group, name="worker")

"""`r1node trust`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.chain import Deployment
from r1net.errors import PreflightError
from r1node.cli.context import Context
from r1node.network import inspect, network_info, pin


@dataclass(frozen=True)
class NamedContract:
    """A contract that the coordinator names, and the hash of the code that the chain has there."""

    contract: str
    address: str
    code: str


@dataclass(frozen=True)
class Trust:
    """A network as the coordinator names it. `pin_file` is set once it is pinned."""

    digest: str
    chain_id: int
    pin_file: Path | None
    next_step: str
    contracts: list[NamedContract]


def trust(
    ctx: typer.Context,
    digest: Annotated[str | None, typer.Option(help="the network's digest, as its operator told you")] = None,
) -> Trust:
    """Show the network that the coordinator names; with --digest, pin it if that is its digest.

    Get the digest from somebody you trust, not from the coordinator.
    """
    context: Context = ctx.obj
    settings = context.settings
    network = inspect(settings, network_info(settings))
    if digest is not None:
        if network.digest() != digest.strip().lower():
            raise PreflightError(
                f"the coordinator's network has digest {network.digest()}, not {digest}",
                hint="don't join it: this is not the network whose digest you were given",
            )
        pin(settings, network)
    return _shown(network, settings.pin_file)


def _shown(network: Deployment, file: Path) -> Trust:
    kept = file.exists() and Deployment.load(file).digest() == network.digest()
    return Trust(
        digest=network.digest(),
        chain_id=network.chain_id,
        pin_file=file if kept else None,
        next_step="r1node join" if kept else "compare the digest with its operator's, then: r1node trust --digest 0x…",
        contracts=[NamedContract(name, at, network.code[name]) for name, at in sorted(network.contracts.items())],
    )


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(trust)

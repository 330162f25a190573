"""`r1node service`: install, status, remove."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.chain import load_keystore
from r1net.errors import UsageError
from r1node.cli.context import Context
from r1node.service import Unit, starts_without_login
from r1node.settings import ENV_PREFIX, Settings


@dataclass(frozen=True)
class Service:
    """A service and how it is."""

    name: str
    state: str
    file: Path
    log: str
    next_step: str


def install(
    ctx: typer.Context,
    devices: Annotated[str | None, typer.Option(help="as for `r1node join`: a worker for each")] = None,
    show: Annotated[bool, typer.Option("--print", help="print the unit, and change nothing")] = False,
) -> Service | None:
    """Run `r1node join` as a service of this user, under the settings that hold now.

    It starts with the machine, and again when it breaks. The password comes from the password file.
    """
    context: Context = ctx.obj
    settings = context.settings
    if settings.password_file is None:
        raise UsageError(
            "a service has nobody to ask for the password",
            hint="write it into a file of your own (chmod 600), and set --password-file",
        )
    load_keystore(settings.owner_keystore, context.password())  # what fails now would fail at every start
    unit = _unit(context, ("--devices", devices) if devices else ())
    if show:
        print(unit.text(), end="")
        return None
    unit.install()
    return _described(unit)


def status(ctx: typer.Context) -> Service:
    """Whether the service is installed, and runs."""
    return _described(_unit(ctx.obj, ()))


def remove(ctx: typer.Context) -> Service:
    """Stop the service, and start it no more. Keys, stake and data stay as they are."""
    unit = _unit(ctx.obj, ())
    removed = unit.remove()
    next_step = "`r1node leave` brings the stake back" if removed else "there was no service; r1node service install"
    return Service(unit.name, unit.state(), unit.file, _log(unit), next_step)


def _unit(context: Context, more: tuple[str, ...]) -> Unit:
    """The service that joins under the present settings, whether they come from flags, variables, or ./r1.toml: it
    runs where it was installed, so that relative paths mean the same."""
    settings = context.settings
    command = context.command("join", "--yes", "--password-file", str(settings.password_file or ""), *more)
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    variables = {key: value for key, value in os.environ.items() if key in known}
    name = "r1node" if settings.worker == "0" else f"r1node-{settings.worker}"
    return Unit(name, command, variables, Path.cwd())


def _described(unit: Unit) -> Service:
    user = getpass.getuser()
    next_step = "r1node status"
    if not starts_without_login(user):
        next_step = f"to run while you are logged out: loginctl enable-linger {user}"
    return Service(unit.name, unit.state(), unit.file, _log(unit), next_step)


def _log(unit: Unit) -> str:
    return f"journalctl --user -u {unit.name}"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="run as a service", no_args_is_help=True)
    group.command()(install)
    group.command()(status)
    group.command()(remove)
    app.add_typer(group, name="service")

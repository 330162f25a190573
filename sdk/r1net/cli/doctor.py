"""`r1net doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.context import Context
from r1net.doctor import examine
from r1net.findings import Report


def doctor(
    ctx: typer.Context,
    model: Annotated[Path | None, typer.Option(help="a model's folder: can the network compute it?")] = None,
) -> Report:
    """Check everything that a submitter needs; each failure names its fix. Exit code 3 when something fails."""
    context: Context = ctx.obj
    return examine(context.settings, model)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)

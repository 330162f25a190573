"""`r1node doctor`."""

from __future__ import annotations

import typer

from r1node.cli.context import Context
from r1node.doctor.report import Report


def doctor(ctx: typer.Context) -> Report:
    """Check everything that a worker needs; each failure names its fix. Exit code 3 when something fails."""
    from r1node.doctor.checks import examine  # noqa: PLC0415 - it loads torch

    context: Context = ctx.obj
    return examine(context.settings)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)

"""`r1node doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from r1net.findings import Report
from r1node.cli.context import Context


def doctor(
    ctx: typer.Context,
    model: Annotated[
        Path | None, typer.Option(help="a model's folder: does this host compute it right? nothing else is checked")
    ] = None,
) -> Report:
    """Check everything that a worker needs; each failure names its fix. Exit code 3 when something fails."""
    context: Context = ctx.obj
    settings = context.settings
    if model is not None:
        from r1node.doctor.model import examine_model  # noqa: PLC0415 - it loads torch

        context.note("doctor", f"trying how this machine computes {model}")
        return Report(list(examine_model(settings, model)))
    from r1node.doctor.checks import examine  # noqa: PLC0415 - it loads torch

    context.note("doctor", "trying what a worker needs: some seconds")
    return examine(settings)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)

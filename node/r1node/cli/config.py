"""`r1node config show`."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from r1net.urls import redact
from r1node.cli.context import Context
from r1node.settings import ENV_PREFIX, Settings


@dataclass(frozen=True)
class Setting:
    """One setting as it holds now."""

    name: str
    value: str | None
    origin: str
    variable: str
    meaning: str


def show(ctx: typer.Context) -> list[Setting]:
    """Every setting, its value, and where that came from."""
    context: Context = ctx.obj
    resolved = context.resolved
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(resolved.settings, name)
        rows.append(
            Setting(
                name=name,
                value=None if value is None else _shown(name, str(value)),
                origin=resolved.origins[name],
                variable=ENV_PREFIX + name.upper(),
                meaning=field.description or "",
            )
        )
    return rows


def _shown(name: str, value: str) -> str:
    if name == "mirrors":
        return ",".join(redact(place) if "://" in place else place for place in value.split(","))
    return redact(value) if "://" in value else value


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="settings", no_args_is_help=True)
    group.command()(show)
    group.callback()(lambda: None)
    app.add_typer(group, name="config")

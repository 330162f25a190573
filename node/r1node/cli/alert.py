"""`r1node alert`."""

from __future__ import annotations

import time
from dataclasses import dataclass

import typer

from r1net.errors import UsageError
from r1net.urls import redact
from r1node.alerts import deliver
from r1node.cli.context import Context


@dataclass(frozen=True)
class Delivered:
    """A trial that arrived."""

    sent_to: str
    seconds: float


def alert(ctx: typer.Context) -> Delivered:
    """Send a trial to where `alert` points, as `join` and `watch` do when something needs a person."""
    context: Context = ctx.obj
    target = context.settings.alert
    if target is None:
        hint = "set R1_ALERT, or `alert` in the settings file, to a URL that takes JSON or to a command that reads it"
        raise UsageError("nothing is set to alert anybody by", hint=hint)
    started = time.monotonic()
    deliver(target, {"time": time.time(), "event": "trial", "text": "`r1node alert` was typed"})
    return Delivered(redact(target) if "://" in target else target, round(time.monotonic() - started, 2))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(alert)

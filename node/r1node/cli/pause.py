"""`r1node pause`, `resume` and `drain`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.output import Moment
from r1node.cli.context import Context
from r1node.locks import running
from r1node.rest import pause as rest
from r1node.rest import paused
from r1node.rest import resume as wake
from r1node.stake import stopped_workers


@dataclass(frozen=True)
class Resting:
    """What was asked of the workers: of one by its name, else of all in the data folder. `why` is empty where they
    work."""

    workers: str
    why: str
    until: Moment | None
    next_step: str


@dataclass(frozen=True)
class Drained:
    """Workers that ran, and have finished and ended."""

    ended: list[str]


def pause(
    ctx: typer.Context,
    minutes: Annotated[float | None, typer.Option(min=0, help="for so long; else until `r1node resume`")] = None,
) -> Resting:
    """Take no more work after the task in hand: of all workers, or of the one that --worker names.

    A paused worker stays running, holds no memory of the GPU, and nobody waits for it. This holds over restarts.
    """
    context: Context = ctx.obj
    folder, workers = _meant(context)
    until = None if minutes is None else time.time() + 60 * minutes
    rest(folder, until)
    return Resting(workers, "paused", None if until is None else Moment(until), "r1node resume")


def resume(ctx: typer.Context) -> Resting:
    """Work again: all workers, or the one that --worker names."""
    context: Context = ctx.obj
    folder, workers = _meant(context)
    wake(folder)
    everywhere = paused(context.settings.home, time.time())
    if everywhere is not None and folder != context.settings.home:
        return Resting(workers, everywhere, None, "all workers are paused: r1node resume, without --worker")
    return Resting(workers, "", None, "r1node status")


def drain(ctx: typer.Context) -> Drained:
    """End the workers of this machine after the task that each has in hand: all, or the one that --worker names."""
    context: Context = ctx.obj
    one, _ = _meant(context)
    folders = [one] if one != context.settings.home else context.settings.worker_folders
    ran = [folder for folder in folders if running(folder)]
    with stopped_workers(ran, context.note):
        return Drained([folder.name for folder in ran])


def _meant(context: Context) -> tuple[Path, str]:
    """The folder that a command is about, and whose it is in words."""
    settings = context.settings
    if context.resolved.origins["worker"] == "flag":
        return settings.worker_folder, settings.worker
    return settings.home, "all"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(pause)
    app.command()(resume)
    app.command()(drain)

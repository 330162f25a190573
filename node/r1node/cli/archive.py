"""`r1node archive`: hold what audits of this network's epochs take, for whoever is shown less."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.audit import Shelf, open_shelf
from r1net.errors import ChainUnavailable, Unreachable
from r1node.cli.context import Context
from r1node.events import Events
from r1node.locks import holding
from r1node.verification.archivist import Archived, Archivist

PAUSE = 30.0
"""Seconds between looks at the chain; a line can be challenged for hours, and is shown for as long at least."""


@dataclass(frozen=True)
class Archive:
    """What a round has added; exit code 1 when a line isn't there whole."""

    folder: Path
    lines: list[Archived]

    @property
    def exit_code(self) -> int:
        """0 when everything is there."""
        return 0 if all(line.whole for line in self.lines) else 1


def archive(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="where to keep it; any web server that shows this folder is a mirror")],
    once: Annotated[bool, typer.Option(help="archive what there is, then end")] = False,
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="forget epochs that were over for so many days; default: none")
    ] = None,
) -> Archive:
    """Keep all that an audit of any line takes: lines, specifications, signed bundles, statements, tasks, signatures.

    Everything is checked before it is kept. Name the folder, or the URL it is served under, as one of `--mirrors`.
    """
    context: Context = ctx.obj
    events = Events(context.as_json)
    chain = context.chain()
    with opened(folder) as shelf:
        archivist = Archivist(chain, context.sources(shelf), shelf, keep_days)
        told: set[Archived] = set()
        while not once:
            _patient_round(archivist, events, told)
            time.sleep(PAUSE)
        return Archive(shelf.root, list(archivist.round()))


def _patient_round(archivist: Archivist, events: Events, told: set[Archived]) -> None:
    try:
        for one in archivist.round():
            if one in told:
                continue
            told.add(one)
            words = f"line {one.line} of epoch {one.epoch}: {one.files} files, {one.bytes} bytes"
            events.note("archived" if one.whole else "incomplete", f"{words}{': ' if one.detail else ''}{one.detail}")
    except (Unreachable, ChainUnavailable) as error:
        events.note("waiting", f"{error.message}; trying again")


@contextmanager
def opened(folder: Path) -> Iterator[Shelf]:
    """A folder that this process alone writes to."""
    shelf = open_shelf(folder)
    with holding(shelf.root, f"another process archives to {shelf.root}", "name another folder"):
        shelf.tidy()
        yield shelf


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(archive)

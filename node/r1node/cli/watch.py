"""`r1node watch`: dispute by itself what does not hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from r1net.errors import ChainUnavailable, Unreachable
from r1net.protocol.evidence import Evidence
from r1node.cli.archive import opened
from r1node.cli.context import Context
from r1node.cli.disputes import challenge_trace, signing_domain_of
from r1node.cli.jury import POLL
from r1node.cli.verify import open_desk
from r1node.events import Events
from r1node.verification.bailiff import Bailiff
from r1node.verification.filing import file_evidence
from r1node.verification.patrol import Patrol


def watch(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option(help="look at what there is, then end")] = False,
    sample: Annotated[
        float, typer.Option(min=0, max=1, help="share of others' accepted work that is repeated here unasked")
    ] = 0.0,
    archive: Annotated[
        Path | None, typer.Option(help="folder to keep all in that audits read, as `r1node archive` does")
    ] = None,
) -> None:
    """Dispute submissions that failed their checks, votes that were false, and lines of epochs that don't hold, with a
    bond.

    Each is replayed or recomputed here first. A lost dispute costs the bond, a won one brings a share of the slash. Pay
    for disputed traces is held, and goes back to the job when they are convicted.
    """
    context: Context = ctx.obj
    events = Events(context.as_json, context.settings.alert)
    owner = context.owner()
    chain = context.chain(owner)
    from r1node.verification.watcher import Watcher  # noqa: PLC0415 - its desk loads torch

    with open_desk(context) as desk, ExitStack() as stack:
        shelf = stack.enter_context(opened(archive)) if archive is not None else None

        def accuse(job: str, trace: str) -> int:
            return challenge_trace(context, desk, job, trace).dispute

        def object_to(epoch: int, line: int, faults: tuple[str, ...]) -> int:
            words = f"line {line} of epoch {epoch}: {'; '.join(faults)}"
            _, digest = file_evidence(context.settings.home, Evidence(kind="accusation", words=words))
            return chain.disputes.challenge_line(epoch, line, digest)

        bailiff = Bailiff(chain, desk.source, signing_domain_of(context))
        patrol = Patrol(desk.source, owner.address, sample)
        watcher = Watcher(chain, desk.source, context.sources(shelf), owner.address, accuse, object_to, bailiff, patrol)
        events.note("watch", f"{owner.address} watches every job and every epoch")
        for _ in _turns(once):
            try:
                for seen in watcher.round():
                    tell = events.alert if seen.dispute else events.note
                    tell("disputed" if seen.dispute else "looked", f"{seen.subject}: {seen.detail}")
            except (Unreachable, ChainUnavailable) as error:
                if once:
                    raise
                events.note("waiting", f"{error.message}; trying again")
        events.close()


def _turns(once: bool) -> Iterator[None]:
    """Once, or again and again with a pause."""
    yield
    while not once:
        time.sleep(POLL)
        yield


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(watch)

"""`r1net estimate` and `r1net submit`: a job file, before and after it is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from r1net.cli.context import Context
from r1net.jobs.estimate import Estimate
from r1net.jobs.file import read_job_file
from r1net.jobs.sample import GROUPS

JobFileArgument = Annotated[Path, typer.Argument(help="the job file (TOML)")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="key=value instead of what the file says; repeats")]


@dataclass(frozen=True)
class Submitted:
    """A job that is funded and announced."""

    job: str
    state: str
    page: str


def estimate(
    ctx: typer.Context,
    file: JobFileArgument,
    changes: Changes = None,
    sample: Annotated[int, typer.Option(min=0, help="groups to sample; 0: none")] = GROUPS,
    buy: Annotated[bool, typer.Option(help="let the network sample, as a small job of its own that is paid")] = False,
) -> Estimate:
    """What a job would come to: price, time, and whether the model will learn. Nothing is paid without --buy."""
    context: Context = ctx.obj
    with context.client() as client:
        job = read_job_file(file, changes or ())
        return client.estimate(sample=sample, buy=buy, **job)


def submit(
    ctx: typer.Context,
    file: JobFileArgument,
    changes: Changes = None,
    dry_run: Annotated[bool, typer.Option(help="like `estimate`: pay nothing")] = False,
) -> Submitted | Estimate:
    """Fund and announce a job."""
    if dry_run:
        return estimate(ctx, file, changes)
    context: Context = ctx.obj
    with context.client() as client:
        job = read_job_file(file, changes or ())
        composed = client.compose(**job)
        for label, report in composed.reports.items():
            for line in report.lines():
                context.note("data", f"{label}: {line}")
        weak = bool(job.get("accept_weak_verifier"))
        run = client.submit(composed.spec, composed.folder, accept_weak_verifier=weak)
        return Submitted(run.job_id, run.view().state, run.page)


def announce(ctx: typer.Context, job: Annotated[str, typer.Argument(help="id of the job")]) -> Submitted:
    """Go on with a job that is funded, where announcing it was interrupted."""
    context: Context = ctx.obj
    with context.client() as client:
        run = client.announce(job)
        return Submitted(run.job_id, run.view().state, run.page)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(estimate)
    app.command()(submit)
    app.command()(announce)

"""`r1net jobs`, `watch`, `stop`, `download`, `verify`: a job that is under way, or over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from r1net.amounts import wei_of
from r1net.cli.context import Context
from r1net.cli.output import Amount, Moment
from r1net.errors import ProtocolError
from r1net.mixing import percentages
from r1net.protocol.job import JobView
from r1net.runs import Run
from r1net.showing import round_words

JobArgument = Annotated[str, typer.Argument(help="id of the job")]


@dataclass(frozen=True)
class JobLine:
    """One job in a list."""

    job: str
    name: str
    state: str
    held: str | None
    round: int
    rounds: int
    traces: int
    error: str | None


@dataclass(frozen=True)
class Downloaded:
    """Where a job's model and data are."""

    folder: str
    files: list[str]


@dataclass(frozen=True)
class TraceCheck:
    """One trace against the chain."""

    trace: str
    worker: str
    status: str
    stands: bool


@dataclass(frozen=True)
class Stopped:
    """A job whose escrow is closed. What was done is settled, the rest can be had back from `refundable_after` seconds
    on, with `r1net refund`."""

    job: str
    refundable_after: int


@dataclass(frozen=True)
class Refunded:
    """What came back by this command; where it was too early, from when on the rest does."""

    returned: Amount
    due: Moment | None
    next_step: str


def jobs(ctx: typer.Context, mine: Annotated[bool, typer.Option(help="only this account's")] = False) -> list[JobLine]:
    """Jobs of the network, the oldest first."""
    context: Context = ctx.obj
    with context.client() as client:
        own = client.address if mine else None
        views = [run.view() for run in client.runs()]
    return [_line(view) for view in views if own is None or view.spec.submitter.lower() == own.lower()]


def watch(ctx: typer.Context, job: JobArgument) -> JobLine:
    """Follow a job round by round until it is over."""
    context: Context = ctx.obj
    with context.client() as client:
        run = client.run(job)
        environment, mix = run.view().spec.environment, None
        for record in run.follow():
            if record.mix is not None and record.mix != mix:
                context.note("mix", ", ".join(percentages(environment, record.mix)))
                mix = record.mix
            context.note("round", json.dumps(record.metrics) if context.as_json else round_words(record))
        return _line(run.view())


def stop(ctx: typer.Context, job: JobArgument) -> Stopped:
    """Cancel a job: what hosts have done is settled, the rest of the budget comes back."""
    context: Context = ctx.obj
    with context.client() as client:
        client.run(job).cancel()
        return Stopped(job, client.chain.escrow.close_grace())


def pause(ctx: typer.Context, job: JobArgument) -> JobLine:
    """Have no new work of a job given out for a while."""
    context: Context = ctx.obj
    with context.client() as client:
        return _line(client.run(job).pause())


def resume(ctx: typer.Context, job: JobArgument) -> JobLine:
    """Go on with a paused job."""
    context: Context = ctx.obj
    with context.client() as client:
        return _line(client.run(job).resume())


def refund(ctx: typer.Context, job: JobArgument) -> Refunded:
    """Take back what is left of a job that was stopped or is over; too early, say from when on."""
    context: Context = ctx.obj
    with context.client() as client:
        token, back = client.chain.escrow.job(job).token, client.run(job).refund()
        r1 = client.is_r1(token)
        return Refunded(
            returned=Amount(back.returned) if r1 else Amount(back.returned, token, 0),
            due=None if back.due is None else Moment(back.due),
            next_step="nothing, all is back" if back.due is None else f"after that date: r1net refund {job}",
        )


def top_up(
    ctx: typer.Context, job: JobArgument, amount: Annotated[str, typer.Argument(help='"100 R1", or "5 wei"')]
) -> None:
    """Give a job more money; one whose budget was spent goes on."""
    context: Context = ctx.obj
    wei = wei_of(amount)
    with context.client() as client:
        client.run(job).top_up(wei)
        context.note("top up", f"{job} has {amount} more")


def download(
    ctx: typer.Context,
    job: JobArgument,
    folder: Annotated[Path, typer.Argument(help="where to")],
    merged: Annotated[bool, typer.Option(help="with LoRA: also a whole model")] = False,
) -> Downloaded:
    """Model, traces and metrics of a completed job."""
    context: Context = ctx.obj
    with context.client() as client:
        made = client.run(job).download(folder, merged=merged)
    return Downloaded(str(made), sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()))


def verify(
    ctx: typer.Context,
    job: JobArgument,
    traces: Annotated[int, typer.Option(min=1, help="how many of the job's traces")] = 10,
) -> list[TraceCheck]:
    """Hash a job's traces here, and prove them against the chain; of a curriculum, recompute the weights."""
    context: Context = ctx.obj
    with context.client() as client:
        run = client.run(job)
        if run.view().spec.environment.curriculum is not None:
            _check_mix(context, run)
        anchored = (view for view in run.traces() if view.epoch is not None)
        found = []
        for view in islice(anchored, traces):
            status = run.verify(view)
            found.append(TraceCheck(view.trace_digest, view.trace.worker, status.name, status.stands))
        return found


def _line(view: JobView) -> JobLine:
    rounds = view.spec.stage.rounds
    return JobLine(
        view.job_id,
        view.spec.name,
        view.state,
        view.held,
        view.round,
        rounds,
        view.traces_accepted,
        view.error,
    )


def _check_mix(context: Context, run: Run) -> None:
    found = run.mix()
    if found.first_wrong is not None:
        wrong = found.rounds[found.first_wrong]
        raise ProtocolError(
            f"the coordinator drew round {wrong.round} with {wrong.published}, but the rewards that it admitted before "
            f"make it {wrong.weights}"
        )
    context.note("mix", f"the weights of all {len(found.rounds)} rounds follow from the admitted rewards")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (jobs, watch, pause, resume, stop, refund, top_up, download, verify):
        app.command()(command)

"""`r1node join`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from r1net.urls import redact
from r1node.allocator import keep_memory
from r1node.cli.context import Context
from r1node.crew import tie_to_input
from r1node.events import Events
from r1node.starting import stoppable


def join(  # noqa: PLR0913, PLR0917 - one for each option
    ctx: typer.Context,
    stake: Annotated[int | None, typer.Option(help="R1 wei to stake at the first join")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N")] = None,
    devices: Annotated[
        str | None, typer.Option(help="a worker for each: all GPUs by `all`, or cuda:0,cuda:1; keys are made as needed")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="auto, builtin or vllm")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads for tensors; 0 = all cores")] = None,
    listen: Annotated[str | None, typer.Option(help="libp2p addresses to listen at, with commas")] = None,
    announce: Annotated[str | None, typer.Option(help="libp2p addresses that peers are told, with commas")] = None,
    port_map: Annotated[bool | None, typer.Option("--port-map", help="have the router forward the port")] = None,
    min_price: Annotated[int | None, typer.Option(help="least wei of R1 for a token of work")] = None,
    accept: Annotated[str | None, typer.Option(help="further tokens to be paid in: 0x…=WEI, with commas")] = None,
    alert: Annotated[str | None, typer.Option(help="who is told of what needs you: a URL or a command")] = None,
    hours: Annotated[str | None, typer.Option(help='when to work: "mon-fri 22:00-07:00", with commas')] = None,
    yes: Annotated[bool, typer.Option("--yes", help="don't ask before the first stake")] = False,
    tied: Annotated[bool, typer.Option("--tied", hidden=True)] = False,
) -> None:
    """Stake if need be, join the network and work until stopped with Ctrl-C."""
    context: Context = ctx.obj
    context.flags |= {"stake": stake, "device": device, "engine": engine, "threads": threads, "listen": listen}
    context.flags |= {"min_price": min_price, "accept": accept, "announce": announce, "port_map": port_map}
    context.flags |= {"alert": alert, "hours": hours}
    settings = context.settings
    if devices is None:
        _tune_process(settings.threads)
    if tied:
        tie_to_input()
    events = Events(context.as_json, settings.alert)
    worker = f"worker {settings.worker!r}" if devices is None else f"a worker for each of {devices}"
    events.note("starting", f"{worker} of {settings.home}, for {redact(settings.coordinator)}")
    with stoppable(events):
        from r1node.cli.enter import enter, enter_on_each  # noqa: PLC0415 - takes seconds; the first word doesn't wait

        if devices is None:
            enter(context, events, yes)
        else:
            enter_on_each(context, events, devices, yes)


def _tune_process(threads: int) -> None:
    """Start this process anew with the allocator's and OpenMP's settings, which are read at start only."""
    wanted = keep_memory() | {"OMP_NUM_THREADS": str(threads or os.cpu_count() or 1)}
    missing = {key: value for key, value in wanted.items() if key not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})  # noqa: S606


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(join)

"""`r1node join`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, load_keystore
from r1net.chain.parameters import DAY
from r1net.cli.output import Amount
from r1net.errors import PreflightError, UsageError
from r1node.allocator import keep_memory
from r1node.cli.context import Context
from r1node.cli.identity import worker_key
from r1node.crew import Crew, Post, tie_to_input
from r1node.events import Events
from r1node.logfile import log_to


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
    if devices is not None:
        join_on_each(context, devices, yes)
        return
    _tune_process(settings.threads)
    if tied:
        tie_to_input()
    password = context.password()
    owner = load_keystore(settings.owner_keystore, password)
    worker = load_keystore(settings.worker_keystore, password)
    from r1node.worker import run_worker  # noqa: PLC0415 - torch and hivemind take seconds; other commands need neither

    events = Events(context.as_json, settings.alert)
    log_to(settings.worker_folder)
    try:
        before_staking(context, owner, events, yes)
        run_worker(settings, owner, worker, events)
    except Exception as error:
        events.alert("ended", f"this worker works no more: {error}")
        raise
    finally:
        events.close()


def join_on_each(context: Context, wanted: str, yes: bool) -> None:
    """A worker for each of several devices, in processes of their own: stake once, make and bind their keys, run."""
    from r1node.devices import each_device, gpus, worker_names  # noqa: PLC0415 - loads torch
    from r1node.worker import enrol  # noqa: PLC0415

    devices = each_device(wanted, gpus())
    password = context.password()
    owner = load_keystore(context.settings.owner_keystore, password)
    events = Events(context.as_json, context.settings.alert)
    before_staking(context, owner, events, yes)
    chain = context.chain(owner)
    threads = context.settings.threads or max(1, (os.cpu_count() or 1) // len(devices))
    posts = []
    for name, device in zip(worker_names(devices), devices, strict=True):
        own = Context(context.flags | {"worker": name, "device": device, "threads": threads}, context.as_json)
        worker = worker_key(own.settings.worker_keystore, password)
        enrol(chain, own.settings, owner, worker, events)
        posts.append(Post(name, own.command("join", "--yes", "--tied")))
    raise typer.Exit(Crew(posts, password, events).run())


def before_staking(context: Context, owner: LocalAccount, events: Events, yes: bool) -> None:
    """A first stake is put in knowingly, and by a machine that can work. Raises PreflightError for one that can't, and
    UsageError where a person says no; without a terminal there is nobody to ask."""
    from r1node.doctor.checks import examine  # noqa: PLC0415
    from r1node.patience import patiently  # noqa: PLC0415
    from r1node.worker import first_stake  # noqa: PLC0415

    chain, staked = patiently(lambda: _stake_of(context, owner), events, context.settings.patience)
    if staked:
        return
    for finding in examine(context.settings, quick=True).findings:
        if finding.verdict == "failure":
            raise PreflightError(f"{finding.check}: {finding.detail}", hint=finding.fix)
    stake, days = Amount(first_stake(chain, context.settings)), chain.registry.unbonding_delay() / DAY
    events.note("stake", f"{stake} of {owner.address} go into the registry as this host's stake")
    events.note("stake", f"they come back by `r1node leave`, {days:g} days after it; who cheats loses them")
    if not yes and context.asks(f"Stake {stake}?") is False:
        raise UsageError("nothing was staked", hint="`r1node doctor` and `r1node odds JOB` say more")


def _stake_of(context: Context, owner: LocalAccount) -> tuple[Chain, int]:
    chain = context.chain(owner)
    return chain, chain.registry.stake_of(owner.address)


def _tune_process(threads: int) -> None:
    """Start this process anew with the allocator's and OpenMP's settings, which are read at start only."""
    wanted = keep_memory() | {"OMP_NUM_THREADS": str(threads or os.cpu_count() or 1)}
    missing = {key: value for key, value in wanted.items() if key not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})  # noqa: S606


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(join)

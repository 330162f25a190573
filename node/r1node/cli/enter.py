"""What `join` does once it has said its first word: the keys, the first stake, the work."""

from __future__ import annotations

import os

import typer
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, load_keystore
from r1net.chain.parameters import DAY
from r1net.cli.output import Amount
from r1net.errors import KeyFileError, PreflightError, UsageError
from r1node.cli.context import Context
from r1node.cli.identity import worker_key
from r1node.crew import Crew, Post
from r1node.events import Events
from r1node.logfile import log_to
from r1node.settings import Settings


def enter(context: Context, events: Events, yes: bool) -> None:
    """Open the keys, stake if need be, and work until stopped. With `yes` nobody is asked before the first stake."""
    settings = context.settings
    require_keys(settings)
    password = context.password()
    owner = load_keystore(settings.owner_keystore, password)
    worker = load_keystore(settings.worker_keystore, password)
    from r1node.worker import run_worker  # noqa: PLC0415 - torch takes seconds, a wrong password is told before

    log_to(settings.worker_folder)
    try:
        _before_staking(context, owner, events, yes)
        run_worker(settings, owner, worker, events)
    except Exception as error:
        events.alert("ended", f"this worker works no more: {error}")
        raise
    finally:
        events.close()


def enter_on_each(context: Context, events: Events, wanted: str, yes: bool) -> None:
    """A worker for each of several devices, in processes of their own: stake once, make and bind their keys, run."""
    from r1node.devices import each_device, gpus, worker_names  # noqa: PLC0415 - loads torch
    from r1node.worker import enrol  # noqa: PLC0415

    devices = each_device(wanted, gpus())
    password = context.password()
    owner = load_keystore(context.settings.owner_keystore, password)
    _before_staking(context, owner, events, yes)
    chain = context.chain(owner)
    threads = context.settings.threads or max(1, (os.cpu_count() or 1) // len(devices))
    posts = []
    for name, device in zip(worker_names(devices), devices, strict=True):
        own = Context(context.flags | {"worker": name, "device": device, "threads": threads}, context.as_json)
        worker = worker_key(own.settings.worker_keystore, password)
        enrol(chain, own.settings, owner, worker, events)
        posts.append(Post(name, own.command("join", "--yes", "--tied")))
    raise typer.Exit(Crew(posts, password, events).run())


def require_keys(settings: Settings) -> None:
    """Raises KeyFileError, with the command that makes them, where the wallet or the worker's key is missing."""
    for what, path in (
        ("wallet", settings.owner_keystore),
        (f"key of worker {settings.worker!r}", settings.worker_keystore),
    ):
        if not path.exists():
            raise KeyFileError(f"there is no {what} at {path}", hint=f"make it: {settings.init_command}")


def _before_staking(context: Context, owner: LocalAccount, events: Events, yes: bool) -> None:
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

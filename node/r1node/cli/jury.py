"""`r1node jury`: offering to judge disputes, and judging them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.chain import Chain
from r1net.chain.models import TxReceipt
from r1net.errors import ChainUnavailable, Unreachable
from r1node.cli.context import Context
from r1node.cli.disputes import signing_domain_of
from r1node.cli.verify import open_desk
from r1node.events import Events
from r1node.verification.ballots import BallotBox
from r1node.verification.juror import Juror, Step

POLL = 2.0
"""Seconds between looks at the chain; periods of real networks are hours."""

LEAVING = 5.0
"""Seconds that a step in hand has to end when the command is stopped; what is left is taken up at the next start."""


@dataclass(frozen=True)
class Membership:
    """Whether this owner may be drawn as a juror, and with how much of its stake (R1 in wei)."""

    owner: str
    in_pool: bool
    weight: int
    pool_size: int
    pool_ready: bool
    transaction: str


def join_pool(ctx: typer.Context) -> Membership:
    """Offer to judge disputes. A juror who is drawn and does not vote loses stake: keep `jury run` running."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.join())


def quit_pool(ctx: typer.Context) -> Membership:
    """Judge no more. The stake can be withdrawn some 8,200 blocks later, after `jury release`."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.quit())


def update_membership(ctx: typer.Context) -> Membership:
    """Let the pool look at this owner's stake again, after it was raised or slashed."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.update(context.address()))


def release_stake(ctx: typer.Context) -> Membership:
    """Free the stake of the pool, long enough after `jury quit`."""
    context: Context = ctx.obj
    chain = context.chain(context.owner())
    return _membership(chain, context.address(), chain.pool.release(context.address()))


def _membership(chain: Chain, owner: str, receipt: TxReceipt) -> Membership:
    pool = chain.pool
    return Membership(owner, pool.contains(owner), pool.weight(owner), pool.size(), pool.ready(), receipt.tx_hash)


def run_jury(
    ctx: typer.Context, once: Annotated[bool, typer.Option(help="take the steps that are due, then end")] = False
) -> None:
    """Watch disputes: judge, commit and reveal where this owner is drawn, and take the steps that are due."""
    context: Context = ctx.obj
    events = Events(context.as_json)
    owner = context.owner()
    chain = context.chain(owner)
    box = BallotBox(context.settings.home / "disputes", chain.chain_id(), chain.disputes.address)
    from r1node.verification.bench import Bench  # noqa: PLC0415 - loads torch

    events.note("jury", f"{owner.address} watches {chain.disputes.count()} disputes")
    with open_desk(context) as desk:
        bench = Bench(chain, signing_domain_of(context), desk, context.sources())
        juror = Juror(chain, owner.address, box, bench.judge)
        if once:
            sit_once(juror, events)
        else:
            sit(juror, events)


def sit_once(juror: Juror, events: Events) -> None:
    """Take what is due, judge what there is to judge, and commit."""
    _tell(juror.round(), events)
    while (judged := juror.deliberate()) is not None:
        _tell([judged], events)
        if judged.step != "failed":
            _tell(juror.round(), events)


def sit(juror: Juror, events: Events) -> None:
    """Judge here, where Ctrl-C ends it at once; take what is due beside it, in a thread that computes nothing."""
    with _watching(juror, events) as watch:
        while True:
            watch.check()
            with _patient(events):
                judged = juror.deliberate()
                if judged is not None:
                    _tell([judged], events)
                    continue
            time.sleep(POLL)


class _Watch:
    """The juror's rounds, again and again."""

    def __init__(self, juror: Juror, events: Events) -> None:
        self._juror, self._events = juror, events
        self._over = threading.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="jury", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what ended the rounds."""
        if self._trouble is not None:
            raise self._trouble

    def stop(self) -> None:
        """After the step in hand, or without it when that waits for the chain."""
        self._over.set()
        self._thread.join(LEAVING)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                with _patient(self._events):
                    self._round()
                self._over.wait(POLL)
        except BaseException as error:  # raised where the command runs
            self._trouble = error

    def _round(self) -> None:
        for step in self._juror.round():
            _tell([step], self._events)
            if self._over.is_set():
                return


@contextmanager
def _watching(juror: Juror, events: Events) -> Iterator[_Watch]:
    watch = _Watch(juror, events)
    try:
        yield watch
    finally:
        watch.stop()


@contextmanager
def _patient(events: Events) -> Iterator[None]:
    """What is away for a while is asked again."""
    try:
        yield
    except (Unreachable, ChainUnavailable) as error:
        events.note("waiting", f"{error.message}; trying again")


def _tell(steps: Iterable[Step], events: Events) -> None:
    for step in steps:
        words = f"dispute {step.dispute}{': ' if step.detail else ''}{step.detail}"
        events.note(step.step, words, dispute=step.dispute, transaction=step.transaction)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="judging disputes", no_args_is_help=True)
    group.command("join")(join_pool)
    group.command("quit")(quit_pool)
    group.command("update")(update_membership)
    group.command("release")(release_stake)
    group.command("run")(run_jury)
    app.add_typer(group, name="jury")

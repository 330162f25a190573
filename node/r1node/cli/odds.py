"""`r1node odds`: what cheating at a job would bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.deterrence import Odds, odds
from r1net.protocol.job import JobView
from r1node.cli.context import Context


@dataclass(frozen=True)
class Lie:
    """One way to cheat at a job. `worth`: the pay of the largest piece of work of its kind, `profit`: what it brings on
    average until it is caught, both in wei of the job's token; `pays`: whether that is more than nothing."""

    cheat: str
    work: str
    worth: int
    drawn: float
    caught_if_drawn: float
    profit: int | None
    pays: bool


@dataclass(frozen=True)
class LieTable:
    """What a lie costs in one job. `at_risk`: what a conviction takes of any owner's stake, in wei of R1."""

    job: str
    at_risk: int
    lies: list[Lie]


def odds_of(ctx: typer.Context, job: Annotated[str, typer.Argument(help="id of the job")]) -> LieTable:
    """Tell for every known way to cheat how likely it is to be caught in this job, and what it brings on average.

    The stakes are read from the chain, prices and rates from the job. Negative: cheating costs more than it brings.
    """
    context: Context = ctx.obj
    chain = context.chain()
    spec = context.coordinator().get(f"/v1/jobs/{job}", JobView).spec
    at_risk = chain.at_risk()
    return LieTable(job, at_risk, [_row(one) for one in odds(spec, chain.token.address, at_risk)])


def _row(one: Odds) -> Lie:
    cheat = one.cheat
    return Lie(cheat.name, cheat.kind, one.worth, round(one.rate, 4), cheat.caught, one.profit, one.pays)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("odds")(odds_of)

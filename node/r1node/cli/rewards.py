"""`r1node rewards` and `r1node claim`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.chain import Chain
from r1net.cli.output import Amount, Moment
from r1net.errors import ChainError
from r1net.protocol.settlement import ClaimProof
from r1node.books import Books, Line, open_books
from r1node.claims import Claimed, claim_all, claim_gas
from r1node.cli.context import Context
from r1node.earnings import RowState, Sums, grouped

PAGE = 100
CLAIM = "`r1node claim` brings what is claimable"
MOST_DECIMALS = 77
"""A contract that names more digits than a number of 256 bits has is not believed."""


@dataclass(frozen=True)
class Total:
    """What was earned in one token, all in all: `earned` is the sum of the rest. What is pending is final from the
    date on that `pending_lines` names; `stuck` is held by a dispute, forfeited, or paid by no pot on chain."""

    token: str
    earned: Amount
    pending: Amount
    claimable: Amount
    claimed: Amount
    stuck: Amount


@dataclass(frozen=True)
class _Day:
    day: str | None


@dataclass(frozen=True)
class DayTotal(Total, _Day):
    """The same of one day: that on which the coordinator closed the books over the work."""


@dataclass(frozen=True)
class JobTotal(Total):
    """The same of one job."""

    name: str
    job: str


@dataclass(frozen=True)
class Pending:
    """Pay that isn't final: when it will be, as far as that is known, and what it waits for."""

    amount: Amount
    token: str
    final_from: Moment | None
    waits_for: str
    job: str


@dataclass(frozen=True)
class RewardRow:
    """One piece of work."""

    day: str | None
    round: int
    kind: str
    tokens: int
    amount: Amount
    token: str
    state: RowState
    epoch: int | None
    worker: str
    job: str
    lease: str


@dataclass(frozen=True)
class Rewards:
    """What a host earned. `gas_to_claim` is the most that claiming all that is claimable costs now."""

    account: str
    claimable_lines: int
    gas_to_claim: Amount
    next_step: str
    by_token: list[Total]
    pending_lines: list[Pending]
    by_day: list[DayTotal]
    by_job: list[JobTotal]


@dataclass(frozen=True)
class RewardsInFull(Rewards):
    """The same, with every row behind it."""

    rows: list[RewardRow]


@dataclass(frozen=True)
class Claim:
    """What one transaction paid, for so many lines, and the gas that it took; without one, why nothing was paid."""

    token: str
    lines: int
    paid: Amount
    held: Amount
    gas: Amount
    account: str
    transaction: str | None
    why: str | None


class Purse:
    """Amounts of tokens as people write them; their decimals are asked for once."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._decimals = {chain.token.address: 18}

    def name(self, token: str) -> str:
        """R1, or the token's address: its own name is what its maker says."""
        return "R1" if token == self._chain.token.address else token

    def amount(self, token: str, wei: int) -> Amount:
        """So much of a token."""
        if token not in self._decimals:
            try:
                said = self._chain.erc20(token).decimals()
            except ChainError:  # a token without digits is counted in its smallest unit
                said = 0
            self._decimals[token] = said if said <= MOST_DECIMALS else 0
        return Amount(wei, "", self._decimals[token])

    def sums(self, token: str, found: Sums) -> dict[str, Amount]:
        """The same of sums."""
        return {name: self.amount(token, wei) for name, wei in vars(found).items()}


def rewards(
    ctx: typer.Context, rows: Annotated[bool, typer.Option("--rows", help="each piece of work as well")] = False
) -> Rewards:
    """What this host earned: what of it is pending and until when, what can be claimed at what gas, what was."""
    context: Context = ctx.obj
    account, chain = context.address(), context.chain()
    books = open_books(chain, context.coordinator(), account)
    purse = Purse(chain)
    claimable = [proof for proof, state in books.proofs if state == "claimable"]
    shown = Rewards(
        account=account,
        claimable_lines=len(claimable),
        gas_to_claim=Amount(claim_gas(chain, account, claimable), "coin"),
        next_step=CLAIM if claimable else "`r1node rewards --rows` shows each piece of work",
        by_token=_by_token(books, purse),
        pending_lines=[_pending(books, purse, line) for line in books.pending()],
        by_day=_by_day(books, purse),
        by_job=_by_job(books, purse),
    )
    return RewardsInFull(**vars(shown), rows=_rows(books, purse)) if rows else shown


def claim(ctx: typer.Context) -> list[Claim]:
    """Claim what is due, in every token, from every line that is paid. Safe to repeat."""
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    purse = Purse(chain)
    proofs = context.coordinator().walk(f"/v1/accounts/{owner.address}/claims", ClaimProof, PAGE)
    shown = []
    for claimed in claim_all(chain, owner.address, proofs):
        shown.append(_claim(purse, claimed))
        context.note("claim", _words(shown[-1]))  # also when something breaks off afterwards
    return shown


def _claim(purse: Purse, claimed: Claimed) -> Claim:
    held = "held while a trace of yours is disputed: `r1node disputes`" if claimed.held else None
    return Claim(
        token=purse.name(claimed.token),
        lines=claimed.lines,
        paid=purse.amount(claimed.token, claimed.paid),
        held=purse.amount(claimed.token, claimed.held),
        gas=Amount(claimed.fee, "coin"),
        account=claimed.account,
        transaction=claimed.transaction,
        why=claimed.refused or held,
    )


def _words(claim: Claim) -> str:
    if claim.transaction is None:
        return f"{claim.lines} lines in {claim.token} paid nothing: {claim.why}"
    return f"{claim.paid} {claim.token} from {claim.lines} lines, for {claim.gas} of gas"


def _by_token(books: Books, purse: Purse) -> list[Total]:
    return [
        Total(token=purse.name(token), **purse.sums(token, found)) for token, found in books.sums_by_token().items()
    ]


def _by_day(books: Books, purse: Purse) -> list[DayTotal]:
    groups = grouped(books.rows, lambda row: (row.day or "", row.token))
    return [
        DayTotal(day=day or None, token=purse.name(token), **purse.sums(token, found))
        for (day, token), found in sorted(groups.items(), reverse=True)
    ]


def _by_job(books: Books, purse: Purse) -> list[JobTotal]:
    groups = grouped(books.rows, lambda row: (row.job, row.token))
    return [
        JobTotal(token=purse.name(token), **purse.sums(token, found), name=books.jobs[job].spec.name, job=job)
        for (job, token), found in groups.items()
    ]


def _pending(books: Books, purse: Purse, line: Line) -> Pending:
    amount = purse.amount(line.token, line.amount)
    at = None if line.final_from is None else Moment(line.final_from)
    return Pending(amount, purse.name(line.token), at, line.waits_for, line.job)


def _rows(books: Books, purse: Purse) -> list[RewardRow]:
    pairs = sorted(zip(books.rows, books.earnings, strict=True), key=lambda pair: pair[0].day or "9")
    return [
        RewardRow(
            day=row.day,
            round=earning.round,
            kind=earning.kind,
            tokens=earning.tokens,
            amount=purse.amount(row.token, row.amount),
            token=purse.name(row.token),
            state=row.state,
            epoch=earning.epoch,
            worker=earning.worker,
            job=row.job,
            lease=earning.lease_id,
        )
        for row, earning in pairs
    ]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rewards)
    app.command()(claim)

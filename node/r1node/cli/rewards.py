"""`r1node rewards` and `r1node claim`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import typer

from r1net.chain import Chain, RewardClaim
from r1net.errors import ProtocolError
from r1net.protocol.merkle import proved_root
from r1net.protocol.settlement import REWARD_LEAF, ClaimProof
from r1net.protocol.views import AccountRewards
from r1node.cli.context import Context

_PAGE = 100
_AT_ONCE = 50
"""Lines that are claimed in one transaction: some 2.5 million gas."""


@dataclass(frozen=True)
class Claimed:
    """What one transaction paid, in wei of its token, for so many lines. Without a transaction: what can't be claimed
    now, because a trace of this account's is disputed there."""

    account: str
    token: str
    lines: int
    paid: int
    held: int
    transaction: str | None


def rewards(ctx: typer.Context) -> AccountRewards:
    """What this host earned, and the rows that say why."""
    context: Context = ctx.obj
    return context.coordinator().get(f"/v1/accounts/{context.address()}/rewards", AccountRewards)


def claim(ctx: typer.Context) -> list[Claimed]:
    """Claim the reward of every line that is paid. Safe to repeat."""
    context: Context = ctx.obj
    owner = context.owner()
    chain = context.chain(owner)
    proofs = context.coordinator().walk(f"/v1/accounts/{owner.address}/claims", ClaimProof, _PAGE)
    return list(claim_all(chain, owner.address, proofs))


def claim_all(chain: Chain, account: str, proofs: Iterable[ClaimProof]) -> Iterator[Claimed]:
    """Claim what isn't claimed yet, in few transactions, each of one token: a token that refuses stops no other. Raises
    ProtocolError for a proof that no pot on chain pays for; others are claimed before."""
    by_token: dict[str, list[ClaimProof]] = defaultdict(list)
    held: dict[str, list[ClaimProof]] = defaultdict(list)
    wrong = []
    paid = chain.rewards.paid_lines(account)
    for proof in proofs:
        if (proof.epoch, proof.job_id) in paid:
            continue
        at = (proof.epoch, proof.job_id, _root(proof))
        if chain.rewards.is_claimed(*at, proof.index):
            continue  # forfeited
        if chain.rewards.is_held(*at, proof.index):
            held[proof.token].append(proof)
        elif proof.account != account or chain.rewards.left(*at) < proof.amount:
            wrong.append(proof)
        else:
            by_token[proof.token].append(proof)
    for token, rows in by_token.items():
        for batch in _batches(rows):
            yield _claimed(chain, account, token, batch)
    for token, rows in held.items():
        yield Claimed(account, token, len(rows), 0, sum(row.amount for row in rows), None)
    if wrong:
        raise ProtocolError(
            f"the coordinator's proof for epoch {wrong[0].epoch} fits no pot on chain",
            hint="try again once your endpoint has caught up; what fits was claimed",
        )


def _claimed(chain: Chain, account: str, token: str, batch: Sequence[ClaimProof]) -> Claimed:
    receipt = chain.rewards.claim_many(
        [RewardClaim(one.epoch, one.job_id, one.index, one.account, one.amount, one.proof) for one in batch]
    )
    return Claimed(account, token, len(batch), chain.rewards.paid(receipt), 0, receipt.tx_hash)


def _batches(rows: Sequence[ClaimProof]) -> Iterator[list[ClaimProof]]:
    source = iter(rows)
    while batch := list(islice(source, _AT_ONCE)):
        yield batch


def _root(proof: ClaimProof) -> str:
    return proved_root(REWARD_LEAF, (proof.index, proof.account, proof.amount), proof.proof)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rewards)
    app.command()(claim)

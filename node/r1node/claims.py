"""What lines that are paid owe an account, held against the chain, and the claiming of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from r1net.chain import Chain, Reverted, RewardClaim
from r1net.errors import ProtocolError
from r1net.protocol.merkle import proved_root
from r1net.protocol.settlement import REWARD_LEAF, ClaimProof

AT_ONCE = 50
"""Lines that are claimed in one transaction: some 2.5 million gas."""

LineState = Literal["claimed", "claimable", "held", "forfeited", "unfounded"]
"""`held` while a trace of the account's is disputed there, `forfeited` when it was convicted; `unfounded`: no pot on
chain pays it."""


@dataclass(frozen=True)
class Claimed:
    """What one transaction paid, in wei of its token, for so many lines, and what it cost in wei of the chain's coin.
    Without a transaction: what can't be claimed now, because a trace of this account's is disputed there, or because
    the token refuses, whose words these are."""

    account: str
    token: str
    lines: int
    paid: int
    held: int
    transaction: str | None
    fee: int = 0
    refused: str | None = None


def look(chain: Chain, account: str, proofs: Iterable[ClaimProof]) -> Iterator[tuple[ClaimProof, LineState]]:
    """How each line stands for the account."""
    paid = chain.rewards.paid_lines(account)
    for proof in proofs:
        done = (proof.epoch, proof.job_id) in paid
        yield proof, "claimed" if done else _state(chain, account, proof)


def _state(chain: Chain, account: str, proof: ClaimProof) -> LineState:
    at = (proof.epoch, proof.job_id, proved_root(REWARD_LEAF, (proof.index, proof.account, proof.amount), proof.proof))
    if chain.rewards.is_claimed(*at, proof.index):
        return "forfeited"
    if chain.rewards.is_held(*at, proof.index):
        return "held"
    if proof.account != account or chain.rewards.left(*at) < proof.amount:
        return "unfounded"
    return "claimable"


def batches(lines: Iterable[ClaimProof]) -> Iterator[tuple[str, list[ClaimProof]]]:
    """Lines for a transaction each, of one token: a token that refuses stops no other."""
    by_token: dict[str, list[ClaimProof]] = defaultdict(list)
    for line in lines:
        by_token[line.token].append(line)
    for token, rows in by_token.items():
        source = iter(rows)
        while batch := list(islice(source, AT_ONCE)):
            yield token, batch


def claim_all(chain: Chain, account: str, proofs: Iterable[ClaimProof]) -> Iterator[Claimed]:
    """Claim what isn't claimed yet, in few transactions. Raises ProtocolError for a proof that no pot on chain pays
    for; others are claimed before."""
    lines = list(look(chain, account, proofs))
    for token, batch in batches(proof for proof, state in lines if state == "claimable"):
        yield _claimed(chain, account, token, batch)
    held: dict[str, list[ClaimProof]] = defaultdict(list)
    for proof, state in lines:
        if state == "held":
            held[proof.token].append(proof)
    for token, rows in held.items():
        yield Claimed(account, token, len(rows), 0, sum(row.amount for row in rows), None)
    wrong = [proof for proof, state in lines if state == "unfounded"]
    if wrong:
        raise ProtocolError(
            f"the coordinator's proof for epoch {wrong[0].epoch} fits no pot on chain",
            hint="try again once your endpoint has caught up; what fits was claimed",
        )


def claim_gas(chain: Chain, account: str, lines: Iterable[ClaimProof]) -> int:
    """The most that claiming these lines would cost now, in wei of the chain's coin. A token that refuses costs
    nothing: it is not sent."""
    total = 0
    for _, batch in batches(lines):
        try:
            total += chain.rewards.claim_price(_claims(batch), account).most
        except Reverted:
            continue
    return total


def _claimed(chain: Chain, account: str, token: str, batch: Sequence[ClaimProof]) -> Claimed:
    try:
        receipt = chain.rewards.claim_many(_claims(batch))
    except Reverted as refusal:
        return Claimed(account, token, len(batch), 0, 0, None, refused=str(refusal))
    return Claimed(account, token, len(batch), chain.rewards.paid(receipt), 0, receipt.tx_hash, receipt.fee)


def _claims(batch: Sequence[ClaimProof]) -> list[RewardClaim]:
    return [RewardClaim(one.epoch, one.job_id, one.index, one.account, one.amount, one.proof) for one in batch]

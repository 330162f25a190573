"""What is left of a job's budget, back to its submitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from r1net.chain import Chain


@dataclass(frozen=True)
class Refund:
    """What came back now, in the token's smallest unit; and where it is too early for that, from which Unix second on
    the rest comes (later, if settlement is paused before)."""

    returned: int
    due: int | None = None


def take_back(chain: Chain, job_id: str) -> Refund:
    """Close a job's escrow unless that is done, and take back what is left once its grace period is over: until then
    hosts' work can still be settled. Raises ChainError."""
    from r1net.chain import Reverted  # noqa: PLC0415 - loads web3

    escrow = chain.escrow
    if escrow.job(job_id).closed_at == 0:
        escrow.close(job_id)
    before = escrow.job(job_id)
    due = chain.moment(before.closed_at + escrow.close_grace())
    if due > chain.now():
        return Refund(0, due)
    try:
        escrow.refund(job_id)
    except Reverted as refusal:
        if refusal.name != "NothingToRefund":
            raise
    return Refund(escrow.job(job_id).refunded - before.refunded)

"""Votes of verifiers, and the public record of what was replayed."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.api.traces import kept_bundle
from r1coordinator.api.wire import Caller, Node, Use, read_message, require_same_lease
from r1coordinator.scheduling import verdicts
from r1coordinator.scheduling.checks import revealed, votes_on
from r1coordinator.services import Services
from r1coordinator.store.rows import get_job
from r1coordinator.store.tables import CheckRow, VoteRow
from r1net.protocol.checks import CheckState, CheckView, VoteView
from r1net.protocol.work import RecomputeTask, VerifyTask, Vote, VoteCommitment, VoteReveal

router = APIRouter(prefix="/v1", tags=["checks"])


@router.post("/leases/{lease_id}/commitment")
def post_commitment(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Commit to a vote on work that was replayed."""
    commitment = read_message(VoteCommitment, node.body)
    require_same_lease(lease_id, commitment.lease_id)
    with services.db.write() as s:
        verdicts.commit(s, node.worker, commitment)
    return {}


@router.post("/leases/{lease_id}/vote")
async def post_vote(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Show the vote that one has committed to."""
    await to_thread.run_sync(_vote, services, node, lease_id, limiter=services.limits.scoring)
    services.bell.ring()
    return {}


def _vote(services: Services, node: Caller, lease_id: str) -> None:
    reveal = read_message(VoteReveal, node.body)
    require_same_lease(lease_id, reveal.vote.lease_id)
    with services.db.read() as s:
        task = verdicts.check_vote(s, services.domain, node.worker, reveal)
    tokens = task.slot.tokens if isinstance(task, RecomputeTask) else _replayed(services, task)
    for shown in (reveal.vote, task):
        services.blobs.put(shown.canonical())
    with services.db.write() as s:
        verdicts.reveal(s, services.ctx, node.worker, reveal, tokens, services.clock())


def _replayed(services: Services, task: VerifyTask) -> int:
    bundle = kept_bundle(services, task.bundle)
    return sum(bundle.traces[position].tokens for position in task.positions)


@router.get("/jobs/{job_id}/checks")
def get_checks(
    job_id: str,
    services: Use,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    state: CheckState | None = None,
    mistaken: bool = False,
) -> list[CheckView]:
    """Every submission's draw and what its replay came to, in order; `after=N` leaves the first N out. Votes are
    shown once all are in, and what was planted once it is decided. `mistaken`: only those of which a vote was wrong."""
    with services.db.read() as s:
        get_job(s, job_id)
        shown = CheckRow.planted.is_(False) | CheckRow.decided_at.is_not(None)
        rows = select(CheckRow).where(CheckRow.job_id == job_id, shown)
        if state is not None:
            rows = rows.where(CheckRow.state == state)
        if mistaken:
            rows = rows.where(CheckRow.number.in_(select(VoteRow.check).where(VoteRow.mistaken)))
        return [_view(s, row) for row in s.scalars(rows.order_by(CheckRow.number).offset(after).limit(limit))]


def _view(s: Session, row: CheckRow) -> CheckView:
    decided = row.decided_at is not None
    return CheckView.model_validate(
        {
            **{name: getattr(row, name) for name in CheckView.model_fields if name not in ("v", "votes", "bundle")},
            "bundle": row.bundle if decided else None,
            "votes": [_vote_view(*cast) for cast in revealed(votes_on(s, row.number))] if decided else [],
        }
    )


def _vote_view(row: VoteRow, vote: Vote) -> VoteView:
    return VoteView.model_validate(
        {
            "worker": row.worker,
            "owner": row.owner,
            "commitment": row.commitment,
            "finding": vote.finding,
            "bad": vote.bad,
            "vote_digest": row.digest,
            "mistaken": row.mistaken,
        }
    )

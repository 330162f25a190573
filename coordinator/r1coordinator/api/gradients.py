"""What trainers say of their gradients: commitments, and statements after the draw."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from sqlalchemy.orm import Session

from r1coordinator.api.wire import Caller, Node, Use, read_message, require_same_lease
from r1coordinator.scheduling import gradients
from r1coordinator.scheduling.advance import advance
from r1coordinator.services import Services
from r1coordinator.store.rows import get_job
from r1net.protocol.gradients import GradientCommitment, SignedStatement

router = APIRouter(prefix="/v1/leases", tags=["gradients"])


@router.post("/{lease_id}/gradient")
def post_gradient(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Commit to a slot's gradient. Averaging begins when all slots have: see the attempt's outcome."""
    commitment = read_message(GradientCommitment, node.body)
    require_same_lease(lease_id, commitment.lease_id)
    with services.db.write() as s:
        gradients.commit(s, node.worker, commitment)
    services.bell.ring()
    return {}


@router.post("/{lease_id}/statement")
async def post_statement(lease_id: str, services: Use, node: Node) -> dict[str, Any]:
    """State what the gradient was, with the seed that the attempt's outcome shows."""
    await to_thread.run_sync(_state, services, node, lease_id, limiter=services.limits.scoring)
    services.bell.ring()
    return {}


def _state(services: Services, node: Caller, lease_id: str) -> None:
    signed = read_message(SignedStatement, node.body)
    require_same_lease(lease_id, signed.statement.lease_id)
    with services.db.read() as s:
        gradients.check_statement(s, services.domain, node.worker, signed)
        task = gradients.task_of(s, signed.statement.lease_id)
    for shown in (signed.statement, task):
        services.blobs.put(shown.canonical())
    with services.db.write() as s:
        if gradients.state(s, signed):
            _advance(s, services, signed.statement.job_id)


def _advance(s: Session, services: Services, job_id: str) -> None:
    s.flush()
    advance(s, services.ctx, get_job(s, job_id), services.clock())

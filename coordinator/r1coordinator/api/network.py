"""The network as a whole: who takes part, and what was refused."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from r1coordinator.api.wire import Use
from r1coordinator.scheduling.standing import Standing, reasons, standings
from r1coordinator.settings import Settings
from r1coordinator.store.tables import ContributionRow, LeaseRow, RefusalRow, WorkerRow
from r1coordinator.verification.codes import CONTENT
from r1net.protocol.reach import Reach
from r1net.protocol.views import NetworkInfo, NodeView

router = APIRouter(tags=["network"])


@router.get("/healthz")
async def healthz(services: Use) -> dict[str, str]:
    """Whether the coordinator can answer from its database. Waits behind no other request."""
    await services.pulse.beat()
    return {"status": "ok"}


@router.get("/v1/network")
async def get_network(services: Use) -> NetworkInfo:
    """What a node or client must know before it signs anything."""
    return services.network


@router.get("/v1/refusals")
def get_refusals(services: Use) -> dict[str, int]:
    """How often something was refused, by code."""
    services.refusals.flush()
    with services.db.read() as s:
        rows = s.execute(
            select(RefusalRow.code, func.sum(RefusalRow.count)).group_by(RefusalRow.code).order_by(RefusalRow.code)
        )
        return {code: int(count) for code, count in rows}


def node_state(last_seen: float, now: float, settings: Settings) -> Literal["active", "late", "lost"]:
    """How long ago a worker was heard of, in words."""
    silence = now - last_seen
    if silence > settings.lost_after_seconds:
        return "lost"
    return "late" if silence > 1.5 * settings.heartbeat_seconds else "active"


@router.get("/v1/nodes")
def get_nodes(services: Use) -> list[NodeView]:
    """Every worker that ever opened a session."""
    now = services.clock()
    with services.db.read() as s:
        doing, tokens, rejected = _doing(s), _tokens(s), _rejected(s)
        rows = list(s.scalars(select(WorkerRow).order_by(WorkerRow.worker)))
        standing, charged = standings(s, rows, now), reasons(s)
    return [
        NodeView(
            worker=row.worker,
            owner=row.owner,
            peer_id=row.peer_id,
            state=node_state(row.last_seen, now, services.settings),
            last_seen=row.last_seen,
            doing=doing.get(row.worker),
            accepted_tokens=tokens.get(row.worker, 0),
            rejected=rejected.get(row.worker, 0),
            standing=round(standing[row.worker].points, 3),
            reasons=charged.get(row.worker, {}),
            refused=row.refused or _pause(standing[row.worker], now),
            reach=Reach.model_validate(row.reach),
        )
        for row in rows
    ]


def _pause(standing: Standing, now: float) -> str | None:
    left = standing.paused_until - now
    return f"pausing for {left:.0f} s over broken leases" if left > 0 else None


def _doing(s: Session) -> dict[str, str]:
    words: dict[str, str] = {}
    for row in s.scalars(select(LeaseRow).where(LeaseRow.state == "active").order_by(LeaseRow.issued_at)):
        words[row.worker] = {
            "rollout": f"{len(row.groups)} groups of {row.split} round {row.round}",
            "train": f"training round {row.round}, attempt {row.attempt}",
            "publish": f"publishing version {row.version}",
            "verify": f"replaying work of {row.split} round {row.round}",
            "recompute": f"recomputing a gradient of round {row.round}",
        }[row.kind]
    return words


def _tokens(s: Session) -> dict[str, int]:
    rows = s.execute(
        select(ContributionRow.worker, func.sum(ContributionRow.tokens))
        .where(ContributionRow.kind == "rollout")
        .group_by(ContributionRow.worker)
    )
    return {worker: int(count) for worker, count in rows}


def _rejected(s: Session) -> dict[str, int]:
    rows = s.execute(
        select(RefusalRow.worker, func.sum(RefusalRow.count))
        .where(RefusalRow.code.in_(CONTENT))
        .group_by(RefusalRow.worker)
    )
    return {worker: int(count) for worker, count in rows}

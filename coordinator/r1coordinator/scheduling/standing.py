"""Standing as rows: charged to a worker and to its owner, network-wide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.penalties import COSTS, combined, decayed, pause
from r1coordinator.store.tables import StandingRow, WorkerRow


@dataclass(frozen=True)
class Standing:
    """What counts against a worker now, and until when it gets no lease."""

    points: float
    paused_until: float


def charge(s: Session, worker: str, reason: str, now: float) -> None:
    """A fault of the worker's: its own points, and its owner's."""
    row = s.get(WorkerRow, worker)
    accounts = {worker} if row is None else {worker, row.owner}
    for account in sorted(accounts):
        found = s.get(StandingRow, account)
        if found is None:
            s.add(StandingRow(account=account, points=COSTS[reason], reasons={reason: 1}, updated_at=now))
        else:
            found.points = decayed(found.points, found.updated_at, now) + COSTS[reason]
            found.reasons = {**found.reasons, reason: found.reasons.get(reason, 0) + 1}
            found.updated_at = now
    s.flush()


def standings(s: Session, workers: Iterable[WorkerRow], now: float) -> dict[str, Standing]:
    """How each of these workers stands."""
    pairs = {row.worker: row.owner for row in workers}
    names = {*pairs, *pairs.values()}
    rows = {row.account: row for row in s.scalars(select(StandingRow).where(StandingRow.account.in_(names)))}
    return {worker: _of(rows.get(worker), rows.get(owner), now) for worker, owner in pairs.items()}


def _of(own: StandingRow | None, owners: StandingRow | None, now: float) -> Standing:
    until = 0.0
    if own is not None:
        until = own.updated_at + pause(own.points)
    if owners is not None:
        until = max(until, owners.updated_at + pause(combined(0.0, owners.points)))
    return Standing(combined(_left(own, now), _left(owners, now)), until)


def points_of(s: Session, account: str, now: float) -> float:
    """What counts against one worker's or owner's own name."""
    return _left(s.get(StandingRow, account), now)


def _left(row: StandingRow | None, now: float) -> float:
    return 0.0 if row is None else decayed(row.points, row.updated_at, now)


def reasons(s: Session) -> dict[str, dict[str, int]]:
    """Account -> what was ever charged to it."""
    return {row.account: row.reasons for row in s.scalars(select(StandingRow))}

"""The part of the traces that a round's figures are made of."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.metrics import TraceFigures
from r1coordinator.store.tables import TraceRow


def figures(s: Session, job_id: str, split: str, round_: int) -> list[TraceFigures]:
    """What the metrics need of a round's traces."""
    rows = s.execute(
        select(TraceRow.group, TraceRow.reward, TraceRow.parts, TraceRow.tokens, TraceRow.finish_reason)
        .where(TraceRow.job_id == job_id, TraceRow.split == split, TraceRow.round == round_)
        .order_by(TraceRow.group, TraceRow.index)
    )
    return [TraceFigures(*row) for row in rows]

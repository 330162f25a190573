"""The part of the traces that a round's figures are made of."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.metrics import TraceFigures
from r1coordinator.store.tables import TraceRow
from r1net.protocol.job import JobSpec
from r1net.shaping import shaped_reward


def figures(s: Session, spec: JobSpec, job_id: str, split: str, round_: int) -> list[TraceFigures]:
    """What the metrics need of a round's traces, by group and index."""
    rows = s.execute(
        select(TraceRow.group, TraceRow.reward, TraceRow.parts, TraceRow.tokens, TraceRow.finish_reason)
        .where(TraceRow.job_id == job_id, TraceRow.split == split, TraceRow.round == round_)
        .order_by(TraceRow.group, TraceRow.index)
    )
    return [
        TraceFigures(
            group=group,
            reward=reward,
            shaped=shaped_reward(spec, reward, tokens) if split == "train" else reward,
            parts=parts,
            tokens=tokens,
            finish_reason=finish,
        )
        for group, reward, parts, tokens, finish in rows
    ]

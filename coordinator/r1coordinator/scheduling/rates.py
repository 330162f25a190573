"""Measured speeds as rows, and the deadlines that follow from them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.deadlines import Patience, allowance, expected_rate, mean_rate
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.store.rows import parse_spec
from r1coordinator.store.tables import BundleRow, JobRow, LeaseRow, RateRow
from r1net.protocol.job import JobSpec
from r1net.protocol.work import TrainerSlot

_VERSION_FILES = 4
"""A version's files (weights and the optimizer's two moments, in wider formats) are taken to be so many times as large
as the model's."""


def measure(s: Session, lease: LeaseRow, tokens: int, now: float) -> None:
    """A task was done: its speed enters the worker's mean."""
    if tokens <= 0:
        return
    row = s.get(RateRow, (lease.job_id, lease.worker, lease.kind))
    rate = mean_rate(None if row is None else row.rate, tokens, now - lease.issued_at)
    if row is None:
        s.add(RateRow(job_id=lease.job_id, worker=lease.worker, kind=lease.kind, rate=rate, updated_at=now))
    else:
        row.rate, row.updated_at = rate, now


def measured_since(s: Session, since: float) -> set[tuple[str, str]]:
    """Job and worker, where work of the worker's was accepted since then."""
    rows = s.execute(select(RateRow.job_id, RateRow.worker).where(RateRow.updated_at >= since))
    return {(row.job_id, row.worker) for row in rows}


def forget_rates(s: Session, job_id: str) -> None:
    """The job is over."""
    s.execute(delete(RateRow).where(RateRow.job_id == job_id))


def known(s: Session, job_id: str, worker: str, kind: str) -> bool:
    """Whether the worker was ever measured at this."""
    return s.get(RateRow, (job_id, worker, kind)) is not None


@dataclass(frozen=True)
class RolloutTerms:
    """How many groups a lease has, and when it is over."""

    groups: int
    deadline: float


def rollout_terms(
    s: Session, ctx: Context, job: JobRow, me: WorkerState, split: str, groups: int, now: float
) -> RolloutTerms:
    """The deadline of a lease of at most so many groups. Completions are taken to be as long as the job's are on
    average, and as long as they may be where there are none yet. Who is so slow that it would hardly get them done in
    the time that all are given gets fewer."""
    spec = parse_spec(job.spec)
    heldout = split == "heldout"
    sampling, size = (spec.evaluation.sampling, 1) if heldout else (spec.sampling, spec.stage.group_size)
    tokens, traces = s.execute(
        select(func.sum(BundleRow.tokens), func.sum(BundleRow.traces)).where(
            BundleRow.job_id == job.job_id, BundleRow.split == split
        )
    ).one()
    length = tokens / traces if traces else float(sampling.max_tokens)
    rate, own = _rate(s, ctx, job.job_id, me.worker, "rollout"), s.get(RateRow, (job.job_id, me.worker, "rollout"))
    fetch = 0 if me.holds.get(job.job_id) == job.version_number else model_bytes(spec)
    patience = _patience(ctx, ctx.settings.round_deadline_seconds)
    while True:
        seconds = allowance(patience, groups * size * length, rate, fetch)
        if groups == 1 or own is None or 2 * groups * size * length / own.rate <= seconds:
            return RolloutTerms(groups, now + seconds)
        groups = -(-groups // 2)


def train_deadline(
    s: Session, ctx: Context, job: JobRow, slots: Collection[TrainerSlot], holders: Collection[str], now: float
) -> float:
    """When an attempt is over: all of its trainers wait for the slowest."""
    patience = _patience(ctx, ctx.settings.train_deadline_seconds)
    fetch = _VERSION_FILES * model_bytes(parse_spec(job.spec))
    return now + max(
        allowance(
            patience,
            slot.tokens,
            _rate(s, ctx, job.job_id, slot.worker, "train"),
            0 if slot.worker in holders else fetch,
        )
        for slot in slots
    )


def verify_deadline(s: Session, ctx: Context, job: JobRow, me: WorkerState, tokens: int, now: float) -> float:
    """When a vote must have been given. Who has never replayed the job loads its model first."""
    patience = _patience(ctx, ctx.settings.round_deadline_seconds)
    fetch = _VERSION_FILES * model_bytes(parse_spec(job.spec))
    return now + allowance(patience, tokens, _rate(s, ctx, job.job_id, me.worker, "verify"), fetch)


def publish_deadline(ctx: Context, spec: JobSpec, now: float) -> float:
    """When a version must have been uploaded."""
    patience = _patience(ctx, ctx.settings.round_deadline_seconds)
    return now + allowance(patience, 0.0, 1.0, _VERSION_FILES * model_bytes(spec))


def model_bytes(spec: JobSpec) -> int:
    """The size of the model's weights."""
    return sum(file.size for name, file in spec.model.files.items() if name.endswith(".safetensors"))


def _rate(s: Session, ctx: Context, job_id: str, worker: str, kind: str) -> float:
    rows = s.scalars(select(RateRow).where(RateRow.job_id == job_id, RateRow.kind == kind))
    rates = {row.worker: row.rate for row in rows}
    return expected_rate(rates.get(worker), list(rates.values()), ctx.settings.default_rate)


def _patience(ctx: Context, most: float) -> Patience:
    settings = ctx.settings
    return Patience(settings.deadline_factor, min(settings.min_deadline_seconds, most), most)

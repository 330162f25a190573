"""The record of a finished round: its version, its digests, its figures."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from r1coordinator.scheduling import metrics
from r1coordinator.scheduling.figures import figures
from r1coordinator.scheduling.mixes import round_mix
from r1coordinator.store.rows import parse_spec, version_of
from r1coordinator.store.tables import AttemptRow, BundleRow, JobRow, LeaseRow, ReportRow
from r1net.protocol.views import RoundRecord
from r1net.protocol.work import TrainTask


def round_record(s: Session, job: JobRow, attempt: AttemptRow, reports: Sequence[ReportRow], now: float) -> RoundRecord:
    """The record of the job's round, which `attempt` has just brought to the job's version."""
    traces = figures(s, parse_spec(job.spec), job.job_id, "train", job.round)
    agreeing = [(row.tokens, row.metrics) for row in reports if row.policy == job.version_policy]
    found = {
        **metrics.merged(agreeing),
        **metrics.sampling_metrics(traces),
        **_counts(s, job, attempt, traces),
        **_speeds(s, job, attempt, traces, now),
    }
    curriculum = parse_spec(job.spec).environment.curriculum
    return RoundRecord(
        round=job.round,
        version=version_of(job),
        attempt=attempt.attempt,
        digests={row.worker: row.policy for row in reports},
        metrics=found,
        traces=len(traces),
        tokens=sum(trace.tokens for trace in traces),
        started_at=job.round_started_at,
        finished_at=now,
        mix=None if curriculum is None else round_mix(s, job.job_id, job.round),
    )


def _counts(s: Session, job: JobRow, attempt: AttemptRow, traces: Sequence[metrics.TraceFigures]) -> dict[str, float]:
    """`num_tokens` as TRL counts it: prompts and completions of all rounds so far, a prompt for each completion."""
    size = parse_spec(job.spec).stage.group_size
    total = s.scalar(
        select(func.sum(BundleRow.tokens + BundleRow.prompt_tokens)).where(
            BundleRow.job_id == job.job_id, BundleRow.split == "train"
        )
    )
    refused = s.scalars(
        select(LeaseRow.groups).where(
            LeaseRow.job_id == job.job_id,
            LeaseRow.kind == "rollout",
            LeaseRow.split == "train",
            LeaseRow.round == job.round,
            LeaseRow.state == "refused",
        )
    )
    return {
        "num_tokens": float(total or 0),
        "rollout/accepted_traces": float(len(traces)),
        "rollout/rejected_traces": float(sum(len(groups) for groups in refused) * size),
        "groups/drawn": float(len({trace.group for trace in traces})),
        "groups/trained": TrainTask.parse(attempt.task).sequences / size,
    }


def _speeds(
    s: Session, job: JobRow, attempt: AttemptRow, traces: Sequence[metrics.TraceFigures], now: float
) -> dict[str, float]:
    """Seconds of the whole round; completion tokens a second of the whole network, in each of its two phases."""
    first = s.get_one(AttemptRow, (job.job_id, job.round, 1))
    phases = {
        "rollout": (sum(trace.tokens for trace in traces), first.started_at - job.round_started_at),
        "train": (TrainTask.parse(attempt.task).tokens, now - attempt.started_at),
    }
    speeds = {
        f"{name}/tokens_per_second": tokens / seconds for name, (tokens, seconds) in phases.items() if seconds > 0
    }
    return {"step_time": now - job.round_started_at, **speeds}

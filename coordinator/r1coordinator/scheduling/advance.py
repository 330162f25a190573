"""The job's state machine: evaluate_first → (rollout → train) per round → evaluate_last → done."""

from __future__ import annotations

from sqlalchemy.orm import Session

from r1coordinator.scheduling import metrics, mixes, rollout
from r1coordinator.scheduling.attempts import train_step
from r1coordinator.scheduling.checks import end_checks, undecided
from r1coordinator.scheduling.context import Context
from r1coordinator.scheduling.figures import figures
from r1coordinator.scheduling.groups import pool
from r1coordinator.scheduling.leases import revoke_job
from r1coordinator.scheduling.rates import forget_rates
from r1coordinator.settlement.close import close_due
from r1coordinator.store.rows import parse_spec, version_of
from r1coordinator.store.tables import EvaluationRow, JobRow

_ALL_KINDS = ("rollout", "train", "publish", "verify", "recompute")


def advance(s: Session, ctx: Context, job: JobRow, now: float) -> bool:
    """Take every step that is due; whether there was one."""
    moved = False
    while job.state == "running" and _step(s, ctx, job, now):
        s.flush()
        moved = True
    return moved


def start(job: JobRow, now: float) -> None:
    """The model is here and fits the job."""
    job.state, job.phase, job.round_started_at = "running", "evaluate_first", now


def fail(s: Session, ctx: Context, job: JobRow, now: float, error: str, *, cancelled: bool = False) -> None:
    """The job can't go on, or its submitter has `cancelled` it; what was accepted is still settled."""
    job.state, job.error = "cancelled" if cancelled else "failed", error
    forget_rates(s, job.job_id)
    revoke_job(s, job.job_id, now, f"the job {job.state}: {error}", _ALL_KINDS)
    end_checks(s, job.job_id, now)
    close_due(s, job, now)


def _step(s: Session, ctx: Context, job: JobRow, now: float) -> bool:
    if job.phase == "train":
        return _train(s, ctx, job, now)
    spec = parse_spec(job.spec)
    demand = rollout.assignment(spec, job.phase, job.round)
    if not pool(s, job.job_id, demand).complete or undecided(s, job.job_id, demand.split, demand.round):
        return False
    if job.phase == "rollout":
        job.phase, job.attempt = "train", 0
        return True
    evaluated = demand.wanted == 0 or s.get(EvaluationRow, (job.job_id, demand.round)) is not None
    if not evaluated:
        _record_evaluation(s, job, demand.round)
    if job.phase == "evaluate_first":
        job.phase, job.round_started_at = "rollout", now
        mixes.open_round(s, job, spec)
        return True
    job.state, job.phase = "completed", "done"
    forget_rates(s, job.job_id)
    revoke_job(s, job.job_id, now, "the job is completed", _ALL_KINDS)
    end_checks(s, job.job_id, now)
    close_due(s, job, now)
    return True


def _record_evaluation(s: Session, job: JobRow, round_: int) -> None:
    record = metrics.evaluation(version_of(job), figures(s, parse_spec(job.spec), job.job_id, "heldout", round_))
    s.add(EvaluationRow(job_id=job.job_id, version=round_, record=record.model_dump_json()))


def _train(s: Session, ctx: Context, job: JobRow, now: float) -> bool:
    outcome = train_step(s, ctx, job, now)
    if isinstance(outcome, str):
        fail(s, ctx, job, now, outcome)
        return True
    return outcome

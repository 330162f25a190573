"""A vote on a trainer's statement: the slot's gradient, computed anew, and the version that the sum leads to.

The first look is in the precision that this machine trains in. What that finds too far off is computed in float32
before anything is said against it. Where the job's weights are bfloat16, the trainer may have computed in bfloat16: by
how much that differs is measured on a few of the same groups then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from r1net.errors import ProtocolError
from r1net.protocol.evidence import GradientFinding
from r1net.protocol.gradients import GradientStatement, unpack
from r1net.protocol.job import Precision
from r1net.protocol.work import RecomputeTask, Vote
from r1node.learner import Learner
from r1node.slot import lesson, slot_gradient
from r1node.training import exact
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group
from r1node.training.sketch import sketch
from r1node.training.trainer import Tick, Trainer
from r1node.verification.transition import fault_of

FLOORS: Mapping[Precision, float] = {"float32": 0.02, "bfloat16": 0.16}
"""Deviation that is never held against anybody, by the precision of the job's weights, which is the coarsest to compute
in: float32 on other kernels came to 4e-6, bfloat16 to 0.054."""

FACTOR = 4.0
"""A deviation of so many times that of the control is not rounding any more."""

CONTROL_GROUPS = 4

FARTHEST = 1e6
"""What is said of a deviation from a gradient that is zero."""


def recompute(job: Learner, task: RecomputeTask, lease_id: str, tick: Tick) -> Vote:
    """Judge the statement that the task names. Raises ProtocolError when it is about something else."""
    statement = GradientStatement.parse(job.source.get_blob(task.statement))
    _require_about(job, task, statement)
    return Vote(job_id=job.job_id, lease_id=lease_id, task=task.digest(), finding=examine(job, task, statement, tick))


def examine(job: Learner, task: RecomputeTask, statement: GradientStatement, tick: Tick) -> GradientFinding:
    """What repeating the work comes to."""
    job.ensure(task.version)
    floor = FLOORS[job.spec.dtype]
    reference = _anew(job, task, job.trainer.dtype, tick)
    found = deviation(reference, statement)
    if found > floor and job.trainer.dtype != torch.float32:
        reference = _anew(job, task, torch.float32, tick)
        found = deviation(reference, statement)
    usual = _usual(job, task, tick) if found > floor and job.spec.dtype == "bfloat16" else 0.0
    wrong = fault_of(job.trainer, statement, *job.files(statement.version))
    return GradientFinding(
        worker=task.worker,
        tokens=task.slot.tokens,
        norm=exact.norm(reference),
        deviation=found,
        usual=usual,
        version_holds=wrong is None,
        faults=tuple(words for words in (away(found, usual, floor), wrong) if words is not None),
    )


def deviation(reference: Tensor, statement: GradientStatement) -> float:
    """How far the claimed sketch, or the claimed norm, is from that of a flat gradient, over the latter's norm."""
    norm = exact.norm(reference)
    claimed = np.array(unpack(statement.sketch), dtype=np.float64)
    apart = float(np.linalg.norm(claimed - sketch(reference, statement.seed)))
    apart = max(apart, abs(statement.norm - norm))
    return min(apart / norm, FARTHEST) if norm else (FARTHEST if apart else 0.0)


def usual_deviation(trainer: Trainer, groups: Sequence[Group], objective: PolicyGradient, tick: Tick) -> float:
    """By how much a gradient in bfloat16 differs from one in float32, over its norm: on a few of a slot's groups."""
    few, found = groups[:CONTROL_GROUPS], []
    for dtype in (torch.float32, torch.bfloat16):
        with trainer.computing_in(dtype):
            trainer.accumulate(few, objective, tick)
        found.append(trainer.gradient().clone())
    norm = exact.norm(found[0])
    return exact.norm(found[1] - found[0]) / norm if norm else 0.0


def limit(usual: float, floor: float) -> float:
    """The deviation that is held against nobody, where honest arithmetic has the `usual` one."""
    return max(floor, FACTOR * usual)


def away(found: float, usual: float, floor: float) -> str | None:
    """What a deviation says against a trainer; None if nothing."""
    if found <= limit(usual, floor):
        return None
    return f"its gradient is {found:.2g} away from the slot's, and honest rounding {usual:.2g}"


def _anew(job: Learner, task: RecomputeTask, dtype: torch.dtype, tick: Tick) -> Tensor:
    """The slot's gradient, computed in a precision."""
    with job.trainer.computing_in(dtype):
        slot_gradient(job, task.train, task.slot, tick)
    return job.trainer.gradient().clone()


def _usual(job: Learner, task: RecomputeTask, tick: Tick) -> float:
    traces = [trace for digest in task.slot.bundles for trace in job.bundle(digest).traces]
    groups, objective = lesson(job, task.train, traces, tick)
    return usual_deviation(job.trainer, groups, objective, tick)


def _require_about(job: Learner, task: RecomputeTask, statement: GradientStatement) -> None:
    said = (statement.job_id, statement.round, statement.attempt, statement.worker, statement.task)
    train = task.train
    if said != (job.job_id, train.round, train.attempt, task.worker, train.digest()):
        raise ProtocolError("the statement is about another slot or task than the lease's")
    if statement.version.optimizer is None:
        raise ProtocolError("the statement names a version without an optimizer's state")

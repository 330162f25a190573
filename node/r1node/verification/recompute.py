"""A vote on a trainer's statement: the slot's gradient, computed anew, and the version that the sum leads to.

The reference is computed in float32. Where the job's weights are bfloat16, a trainer may have computed in bfloat16: by
how much that differs is measured on a few of the same groups.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from r1net.errors import ProtocolError
from r1net.protocol.evidence import GradientFinding
from r1net.protocol.gradients import GradientStatement, unpack
from r1net.protocol.trace import Trace
from r1net.protocol.work import RecomputeTask, Vote
from r1node.jobs import JobRuntime
from r1node.slot import lesson, slot_gradient
from r1node.training import exact
from r1node.training.sketch import sketch
from r1node.training.trainer import Tick
from r1node.verification.transition import fault_of

FLOOR = 0.02
"""Deviation that is never held against anybody: float32 on other kernels came to 4e-6."""

FACTOR = 4.0
"""A deviation of so many times that of the control is not rounding any more."""

CONTROL_GROUPS = 4

FARTHEST = 1e6
"""What is said of a deviation from a gradient that is zero."""


def recompute(job: JobRuntime, task: RecomputeTask, lease_id: str, tick: Tick) -> Vote:
    """Judge the statement that the task names. Raises ProtocolError when it is about something else."""
    statement = GradientStatement.parse(job.source.get_blob(task.statement))
    _require_about(job, task, statement)
    return Vote(lease_id=lease_id, finding=examine(job, task, statement, tick))


def examine(job: JobRuntime, task: RecomputeTask, statement: GradientStatement, tick: Tick) -> GradientFinding:
    """What repeating the work comes to."""
    job.ensure(task.version)
    job.rest_engine()
    with job.trainer.computing_in(torch.float32):
        slot_gradient(job, task.train, task.slot, tick)
        reference = job.trainer.gradient().clone()
    norm = exact.norm(reference)
    deviation = _deviation(reference, norm, statement)
    usual = _usual(job, task, tick) if deviation > FLOOR and job.spec.dtype == "bfloat16" else 0.0
    faults = []
    if deviation > max(FLOOR, FACTOR * usual):
        faults.append(f"its gradient is {deviation:.2g} away from the slot's, honest rounding is {usual:.2g}")
    files = [
        job.versions.fetch(digest, job.source).read_bytes()
        for digest in (statement.version.policy, statement.version.optimizer or "")
    ]
    wrong = fault_of(job.trainer, statement, files[0], files[1])
    if wrong is not None:
        faults.append(wrong)
    return GradientFinding(
        worker=task.worker,
        tokens=task.slot.tokens,
        norm=norm,
        deviation=deviation,
        usual=usual,
        version_holds=wrong is None,
        faults=tuple(faults),
    )


def _require_about(job: JobRuntime, task: RecomputeTask, statement: GradientStatement) -> None:
    said = (statement.job_id, statement.round, statement.attempt, statement.worker, statement.task)
    train = task.train
    if said != (job.job_id, train.round, train.attempt, task.worker, train.digest()):
        raise ProtocolError("the statement is about another slot or task than the lease's")


def _deviation(reference: Tensor, norm: float, statement: GradientStatement) -> float:
    """How far the claimed sketch, and the claimed norm, are from the reference's, over its norm."""
    claimed = np.array(unpack(statement.sketch), dtype=np.float64)
    apart = float(np.linalg.norm(claimed - sketch(reference, statement.seed)))
    apart = max(apart, abs(statement.norm - norm))
    return min(apart / norm, FARTHEST) if norm else (FARTHEST if apart else 0.0)


def _usual(job: JobRuntime, task: RecomputeTask, tick: Tick) -> float:
    """By how much a gradient in bfloat16 differs from one in float32, over its norm: on a few of the slot's groups."""
    traces: list[Trace] = [trace for digest in task.slot.bundles for trace in job.bundle(digest).traces]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        with job.trainer.computing_in(dtype):
            groups, objective = lesson(job, task.train, traces, tick)
            job.trainer.accumulate(groups[:CONTROL_GROUPS], objective, tick)
            found.append(job.trainer.gradient().clone())
    exact_one, rounded = found
    norm = exact.norm(exact_one)
    return exact.norm(rounded - exact_one) / norm if norm else 0.0

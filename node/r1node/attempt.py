"""A trainer's part in one attempt: its slot's gradient, committed to, averaged, stepped with, and answered for.

Nobody sees another's gradient before all have committed to theirs, and nobody knows the sketches' seed before all have
averaged and stepped.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

import torch
from torch import Tensor

from r1net.errors import SwarmError
from r1net.protocol.gradients import GradientCommitment, GradientStatement, pack
from r1net.protocol.work import TrainReport, TrainTask
from r1node.jobs import JobRuntime
from r1node.lease import LeaseKeeper
from r1node.slot import slot_gradient
from r1node.swarm.allreduce import AveragingService, average, sections
from r1node.swarm.daemon import Swarm
from r1node.training import exact
from r1node.training.sketch import sketch

Commit = Callable[[GradientCommitment], Sequence[GradientCommitment]]
"""Hands in the own commitment, and returns every slot's, in their order, once all have committed."""


@dataclass(frozen=True)
class Step:
    """What a trainer has done, and what it must still answer for."""

    report: TrainReport
    commitment: GradientCommitment
    own: Tensor
    total: Tensor

    def statement(self, job_id: str, task: TrainTask, worker: str, seed: str) -> GradientStatement:
        """What the trainer says of its gradient, with the seed that was drawn."""
        return GradientStatement(
            job_id=job_id,
            round=task.round,
            attempt=task.attempt,
            lease_id=self.report.lease_id,
            worker=worker,
            task=task.digest(),
            commitment=self.commitment.digest(),
            norm=self.commitment.norm,
            seed=seed,
            sketch=_packed(self.own, seed),
            total=_packed(self.total, seed),
            version=self.report.version,
        )


def train(
    job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, swarm: Swarm, averaging: AveragingService, commit: Commit
) -> Step:
    """The own slot's gradient, averaged over the slots, and one step. The step counts once the network agrees.

    Raises SwarmError when a peer fails, FloatingPointError when a gradient isn't finite, LeaseLost.
    """
    asked = time.monotonic()
    job.ensure(task.version)
    weights = time.monotonic() - asked
    slot = next(slot for slot in task.slots if slot.worker == keeper.lease.worker)
    job.rest_engine()
    started = time.monotonic()
    metrics = slot_gradient(job, task, slot, keeper.check)
    own = job.trainer.gradient().clone()
    if not bool(torch.isfinite(own).all()):
        raise FloatingPointError("the own gradient is not finite")
    commitment = GradientCommitment(
        lease_id=keeper.lease.id, sections=sections(own, len(task.slots)), norm=exact.norm(own)
    )
    computed = time.monotonic()
    committed = commit(commitment)
    total = _sum(task, keeper, swarm, averaging, own, committed)
    if not bool(torch.isfinite(total).all()):
        raise SwarmError("the averaged gradient is not finite, and the own one was")
    averaged = time.monotonic()
    metrics |= job.trainer.step(total)
    version = job.save_step(task.version.number + 1)
    metrics |= {
        "seconds/weights": weights,
        "seconds/gradient": computed - started,
        "seconds/averaging": averaged - computed,
        "train/tokens_per_second": metrics["train/tokens"] / max(computed - started, 1e-9),
    }
    tokens = int(metrics.pop("train/tokens"))
    report = TrainReport(lease_id=keeper.lease.id, version=version, trained_tokens=tokens, metrics=metrics)
    return Step(report, commitment, own, total)


def _sum(
    task: TrainTask,
    keeper: LeaseKeeper,
    swarm: Swarm,
    averaging: AveragingService,
    own: Tensor,
    committed: Sequence[GradientCommitment],
) -> Tensor:
    """The sum of all slots' gradients. Each is already divided by the round's tokens."""
    if len(task.slots) == 1:
        return own
    key = hashlib.sha256(f"{keeper.lease.job_id}/{task.round}/{task.attempt}".encode()).digest()
    slots = [(slot.peer_id, slot.maddrs) for slot in task.slots]
    wait_for_daemon(swarm, keeper)
    running = swarm.submit(average(swarm, averaging, key, own, slots, [one.sections for one in committed]))
    keeper.on_lost(lambda: _cancel(running))
    try:
        keeper.check()
        return running.result() * len(task.slots)
    except (CancelledError, asyncio.CancelledError):
        keeper.check()
        raise SwarmError("averaging was cancelled") from None


def wait_for_daemon(swarm: Swarm, keeper: LeaseKeeper) -> None:
    """Until p2pd is up again, for as long as the lease is ours."""
    while not swarm.ready:
        keeper.check()
        time.sleep(0.2)


def _cancel(running: Future[Tensor]) -> None:
    running.cancel()


def _packed(vector: Tensor, seed: str) -> str:
    values = array("f")
    values.frombytes(sketch(vector, seed).tobytes())
    return pack(values)

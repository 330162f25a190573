"""Trainers that cheat: what they commit to, send, report or keep back."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import torch
from torch import Tensor

import r1node.attempt
import r1node.trainee
from r1net.protocol.job import PolicyVersion
from r1net.protocol.work import PublishTask, TrainerSlot, TrainTask
from r1node.attempt import Step, train
from r1node.jobs import JobRuntime
from r1node.learner import Learner
from r1node.lease import LeaseKeeper
from r1node.slot import slot_gradient
from r1node.trainee import Trainee
from r1node.training.trainer import Tick, Trainer
from tests.adversarial.network.lies import told

Change = Callable[[Tensor], bool | None]
"""Makes a lie of a gradient (P), in place; False: it stays honest for want of anything to lie with yet."""

PAUSE = 0.2


class Lying:
    """A trainer whose gradient is what `change` makes of it."""

    def __init__(self, change: Change) -> None:
        self._change, self._lied = change, False

    def __call__(self) -> None:
        """Put it in the honest one's place."""
        r1node.attempt.slot_gradient = self._gradient  # type: ignore[attr-defined]
        r1node.trainee.train = self._train  # type: ignore[attr-defined]

    def _gradient(self, job: Learner, task: TrainTask, slot: TrainerSlot, tick: Tick) -> dict[str, float]:
        metrics = slot_gradient(job, task, slot, tick)
        self._lied = self._change(job.trainer.gradient()) is not False
        return metrics

    def _train(self, job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, *rest: Any) -> Step:
        step = train(job, task, keeper, *rest)
        if self._lied:
            told(keeper.lease.id)
        return step


class LastGradient:
    """Computes once, and hands that in from then on."""

    def __init__(self) -> None:
        self._kept: Tensor | None = None

    def __call__(self, gradient: Tensor) -> bool:
        if self._kept is None:
            self._kept = gradient.clone()
            return False
        gradient.copy_(self._kept)
        return True


class LastOutcome:
    """Hands in the sum that the last step was made with, clipped, as the published moments tell it to anybody."""

    def __init__(self) -> None:
        self._kept: Tensor | None = None
        honest = Trainer.step

        def step(trainer: Trainer, gradient: Tensor) -> dict[str, float]:
            metrics = honest(trainer, gradient)
            self._kept = trainer.gradient().clone()
            return metrics

        self._step = step

    def __call__(self, gradient: Tensor) -> bool:
        Trainer.step = self._step  # type: ignore[method-assign]
        if self._kept is None:
            return False
        gradient.copy_(self._kept)
        return True


def scaled(factor: float) -> Change:
    """So many times the gradient."""

    def change(gradient: Tensor) -> None:
        gradient.mul_(factor)

    return change


def not_finite() -> None:
    """Computes honestly, and sends NaN, to which it has committed; a trainer that is alone has nobody to send it to,
    and gives up."""
    sections, average = r1node.attempt.sections, r1node.attempt.average

    def poisoned(tensor: Tensor) -> Tensor:
        return torch.full_like(tensor, float("nan"))

    def committed(tensor: Tensor, count: int) -> tuple[str, ...]:
        return sections(poisoned(tensor), count)

    def sent(swarm: Any, service: Any, key: bytes, tensor: Tensor, *rest: Any) -> Coroutine[Any, Any, Tensor]:
        return average(swarm, service, key, poisoned(tensor), *rest)

    def alone(job: Learner, task: TrainTask, slot: TrainerSlot, tick: Tick) -> dict[str, float]:
        metrics = slot_gradient(job, task, slot, tick)
        if len(task.slots) == 1:
            job.trainer.gradient().fill_(float("nan"))
        return metrics

    def lying(job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, *rest: Any) -> Step:
        told(keeper.lease.id)
        return train(job, task, keeper, *rest)

    r1node.attempt.sections, r1node.attempt.average = committed, sent  # type: ignore[attr-defined,assignment]
    r1node.attempt.slot_gradient = alone  # type: ignore[attr-defined]
    r1node.trainee.train = lying  # type: ignore[attr-defined]


def withheld_report() -> None:
    """Takes the slot, beats for its lease, and does nothing."""

    def silent(_job: JobRuntime, _task: TrainTask, keeper: LeaseKeeper, *_rest: Any) -> Step:
        told(keeper.lease.id)
        while True:
            keeper.check()
            time.sleep(PAUSE)

    r1node.trainee.train = silent  # type: ignore[attr-defined]


def withheld_weights() -> None:
    """Trains honestly, and keeps silent when its version is wanted of it, or a proof that it has it. What is false then
    is what it was to be paid for: the training."""
    training: list[str] = []

    def noting(job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, *rest: Any) -> Step:
        training.append(keeper.lease.id)
        return train(job, task, keeper, *rest)

    def silent(_trainee: Trainee, _job: JobRuntime, _task: PublishTask, _keeper: LeaseKeeper) -> None:
        told(training[-1])

    r1node.trainee.train = noting  # type: ignore[attr-defined]
    Trainee.publish = silent  # type: ignore[method-assign]


def made_up_version() -> None:
    """Steps honestly, and then moves every weight by the same amount: a version that all of the gang come to, and that
    they can serve."""
    honest = Learner.save_step

    def save_step(job: Learner, number: int) -> PolicyVersion:
        for parameter in job.policy.parameters.values():
            parameter.data.add_(0.001)
        return honest(job, number)

    def lying(job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, *rest: Any) -> Step:
        step = train(job, task, keeper, *rest)
        told(keeper.lease.id)
        return step

    Learner.save_step = save_step  # type: ignore[method-assign]
    r1node.trainee.train = lying  # type: ignore[attr-defined]


TRAINERS: dict[str, Callable[[], None]] = {
    "zeros": Lying(scaled(0.0)),
    "last-gradient": Lying(LastGradient()),
    "last-outcome": Lying(LastOutcome()),
    "scaled": Lying(scaled(1.3)),
    "enormous": Lying(scaled(1000.0)),
    "flipped": Lying(scaled(-1.0)),
    "not-finite": not_finite,
    "withheld-report": withheld_report,
    "withheld-weights": withheld_weights,
    "made-up-version": made_up_version,
}

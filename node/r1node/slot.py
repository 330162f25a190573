"""A slot of a training attempt: the gradient of its share of the round, for who trains it and for who checks it."""

from __future__ import annotations

from collections.abc import Sequence

from r1net.protocol.trace import Trace
from r1net.protocol.work import TrainerSlot, TrainTask
from r1node.learner import Learner
from r1node.training.groups import training_groups
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group
from r1node.training.trainer import Tick


def slot_gradient(job: Learner, task: TrainTask, slot: TrainerSlot, tick: Tick) -> dict[str, float]:
    """Set the trainer's gradient to that of a slot's share of the round. Returns metrics, and `train/tokens`."""
    traces = [trace for digest in slot.bundles for trace in job.bundle(digest).traces]
    groups, objective = lesson(job, task, traces, tick)
    metrics = job.trainer.accumulate(groups, objective, tick)
    return metrics | {"train/tokens": float(sum(group.tokens for group in groups))}


def lesson(job: Learner, task: TrainTask, traces: Sequence[Trace], tick: Tick) -> tuple[list[Group], PolicyGradient]:
    """What a share of the round teaches, and how."""
    spec = job.spec
    first = job.policy.assemble_reference(job.trainer.dtype, spec.sampling.temperature) if spec.stage.kl_coef else None
    compare = None if first is None else lambda groups: job.trainer.compare(groups, first, tick)
    groups = training_groups(traces, spec, task, compare)
    other = first if spec.stage.kl_in == "loss" else None
    return groups, PolicyGradient(spec.stage, task.tokens, task.sequences, spec.sampling.max_tokens, other)

"""From admitted traces to what the trainer learns from: groups of completions with their advantages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from r1net.protocol.job import JobSpec
from r1net.protocol.trace import Trace
from r1net.protocol.work import TrainTask
from r1net.shaping import shaped_reward
from r1node.training.advantages import advantages
from r1node.training.losses import kl_estimate
from r1node.training.packing import Group, Sample

Compare = Callable[[Sequence[Group]], dict[int, Tensor]]
"""For each sample, by its `id`, the log-probabilities (T) of its tokens under the job's first policy."""


def training_groups(
    traces: Sequence[Trace], spec: JobSpec, task: TrainTask, compare: Compare | None = None
) -> list[Group]:
    """Those traces that count, as groups with their advantages. `compare` is needed where the KL is in the reward.

    Groups without spread teach nothing and are left out, unless there is a divergence to keep small in the loss.
    """
    members = _members(traces, task)
    plain = [
        Group(group[0].prompt_ids, [Sample(t.completion_ids, t.logprobs, 0.0, t.given) for t in group])
        for group in members
    ]
    stage = spec.stage
    penalised = bool(stage.kl_coef) and stage.kl_in == "reward"
    if penalised:
        if compare is None:
            raise ValueError("a divergence in the reward needs the first policy's log-probabilities")
        first = compare(plain)
    groups = []
    for traced, group in zip(members, plain, strict=True):
        rewards = shaped_rewards(traced, spec)
        if penalised:
            rewards -= torch.tensor([_penalty(sample, first[id(sample)], spec) for sample in group.samples])
        values = advantages(rewards[None], stage.baseline, stage.scale_rewards, task.reward_std)[0]
        if bool(values.any()) or (stage.kl_coef and stage.kl_in == "loss"):
            groups.append(Group(group.prompt_ids, _with(group.samples, values)))
    return groups


def shaped_rewards(members: Sequence[Trace], spec: JobSpec) -> Tensor:
    """Rewards (G,) float64 of one group's traces with the stage's penalties; NaN where there is none."""
    shaped = [shaped_reward(spec, trace.reward, len(trace.completion_ids)) for trace in members]
    return torch.tensor([math.nan if reward is None else reward for reward in shaped], dtype=torch.float64)


def _members(traces: Sequence[Trace], task: TrainTask) -> list[list[Trace]]:
    counting = frozenset(task.groups or ())
    by_group: dict[int, list[Trace]] = {}
    for trace in traces:
        if task.groups is None or trace.group in counting:
            by_group.setdefault(trace.group, []).append(trace)
    return list(by_group.values())


def _with(samples: Sequence[Sample], values: Tensor) -> list[Sample]:
    return [replace(sample, advantage=float(value)) for sample, value in zip(samples, values, strict=True)]


def _penalty(sample: Sample, first: Tensor, spec: JobSpec) -> float:
    """The divergence of one completion, summed over its tokens, in the reward's unit."""
    sampled = torch.tensor(list(sample.sampler_logprobs))[sample.sampled]
    return spec.stage.kl_coef * float(kl_estimate(sampled, first, spec.stage.kl_estimator).double().sum())

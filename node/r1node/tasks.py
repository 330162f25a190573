"""The three things a worker can be leased to do."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future

import torch
from torch import Tensor

from r1net.environments import sampling_seed
from r1net.errors import SwarmError
from r1net.protocol.job import PolicyVersion
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import PublishTask, RolloutTask, TrainReport, TrainTask
from r1net.sandbox.scorer import Graded
from r1node.jobs import JobRuntime
from r1node.lease import LeaseKeeper
from r1node.rollout.engine import Completion, Prompt
from r1node.swarm.allreduce import AveragingService, average
from r1node.swarm.daemon import Swarm
from r1node.training.groups import training_groups
from r1node.training.objectives import PolicyGradient
from r1node.training.packing import Group


def roll_out(job: JobRuntime, task: RolloutTask, keeper: LeaseKeeper) -> tuple[TraceBundle, dict[str, float]]:
    """Sample and score the groups of a lease."""
    spec = job.spec
    heldout = task.split == "heldout"
    sampling = spec.evaluation.sampling if heldout else spec.sampling
    size = 1 if heldout else spec.stage.group_size
    asked = time.monotonic()
    engine = job.ready_engine(task.version)
    weights = time.monotonic() - asked
    canonical = job.scorer.prompts([(task.split, task.round, group) for group in task.groups])
    prompts = [
        Prompt(
            ids=prompt.ids,
            seeds=[sampling_seed(spec, task.split, task.round, group, index) for index in range(size)],
        )
        for group, prompt in zip(task.groups, canonical, strict=True)
    ]
    started = time.monotonic()
    answers = engine.generate(prompts, sampling, spec.stop_token_ids, lambda done, total: keeper.check())
    seconds = time.monotonic() - started
    rows = [
        (group, index, prompt, completion)
        for group, prompt, completions in zip(task.groups, prompts, answers, strict=True)
        for index, completion in enumerate(completions)
    ]
    grades = job.scorer.grade([((task.split, task.round, row[0]), row[3].token_ids) for row in rows])
    traces = [_trace(job, task, keeper.lease.worker, *row, graded) for row, graded in zip(rows, grades, strict=True)]
    tokens = sum(len(trace.completion_ids) for trace in traces)
    metrics = {
        "rollout/seconds": seconds,
        "rollout/tokens_per_second": tokens / max(seconds, 1e-9),
        "seconds/weights": weights,
    }
    return TraceBundle(lease_id=keeper.lease.id, traces=tuple(traces)), metrics


def _trace(
    job: JobRuntime,
    task: RolloutTask,
    worker: str,
    group: int,
    index: int,
    prompt: Prompt,
    completion: Completion,
    graded: Graded,
) -> Trace:
    return Trace(
        job_id=job.job_id,
        split=task.split,
        round=task.round,
        group=group,
        index=index,
        policy=task.version.policy,
        worker=worker,
        prompt_ids=tuple(prompt.ids),
        completion_ids=tuple(completion.token_ids),
        logprobs=tuple(completion.logprobs),
        reward_parts=graded.parts,
        reward=graded.reward,
        finish_reason=completion.finish_reason,
        seed=prompt.seeds[index],
    )


def train(
    job: JobRuntime, task: TrainTask, keeper: LeaseKeeper, swarm: Swarm, averaging: AveragingService
) -> TrainReport:
    """The own share's gradient, averaged over the slots, and one step. The step counts once the network agrees.

    Raises SwarmError when a peer fails, FloatingPointError when a gradient isn't finite, LeaseLost.
    """
    asked = time.monotonic()
    job.ensure(task.version)
    weights = time.monotonic() - asked
    slot = next(slot for slot in task.slots if slot.worker == keeper.lease.worker)
    traces = [trace for digest in slot.bundles for trace in job.bundle(digest).traces]
    job.rest_engine()
    started = time.monotonic()
    groups, objective = _lesson(job, task, traces, keeper)
    metrics = job.trainer.accumulate(groups, objective, keeper.check)
    gradient = job.trainer.gradient()
    if not bool(torch.isfinite(gradient).all()):
        raise FloatingPointError("the own gradient is not finite")
    computed = time.monotonic()
    gradient = _average(task, keeper, swarm, averaging, gradient)
    if not bool(torch.isfinite(gradient).all()):
        raise SwarmError("the averaged gradient is not finite, and the own one was")
    averaged = time.monotonic()
    metrics |= job.trainer.step(gradient)
    version = job.save_step(task.version.number + 1)
    tokens = sum(group.tokens for group in groups)
    metrics |= {
        "seconds/weights": weights,
        "seconds/gradient": computed - started,
        "seconds/averaging": averaged - computed,
        "train/tokens_per_second": tokens / max(computed - started, 1e-9),
    }
    return TrainReport(lease_id=keeper.lease.id, version=version, trained_tokens=tokens, metrics=metrics)


def _lesson(
    job: JobRuntime, task: TrainTask, traces: Sequence[Trace], keeper: LeaseKeeper
) -> tuple[list[Group], PolicyGradient]:
    """What the own share of the round teaches, and how."""
    spec = job.spec
    first = job.policy.assemble_reference(job.trainer.dtype, spec.sampling.temperature) if spec.stage.kl_coef else None
    compare = None if first is None else lambda groups: job.trainer.compare(groups, first, keeper.check)
    groups = training_groups(traces, spec, task, compare)
    other = first if spec.stage.kl_in == "loss" else None
    return groups, PolicyGradient(spec.stage, task.tokens, task.sequences, spec.sampling.max_tokens, other)


def upload(job: JobRuntime, task: PublishTask) -> None:
    """Upload the files of a version with a majority."""
    for digest in _files(task.version):
        if not job.source.has_blob(digest):
            job.source.put_blob(digest, job.versions.path(digest))


def prove(job: JobRuntime, task: PublishTask, salt: str) -> dict[str, str]:
    """What proves that a version's files are here."""
    return {digest: job.versions.salted(digest, salt) for digest in _files(task.version)}


def _files(version: PolicyVersion) -> list[str]:
    return [digest for digest in (version.policy, version.optimizer) if digest]


def _average(
    task: TrainTask, keeper: LeaseKeeper, swarm: Swarm, averaging: AveragingService, gradient: Tensor
) -> Tensor:
    """The sum of all slots' gradients. Each is already divided by the round's tokens."""
    if len(task.slots) == 1:
        return gradient
    key = f"{keeper.lease.job_id}/{task.round}/{task.attempt}".encode()
    slots = [(slot.peer_id, slot.maddrs) for slot in task.slots]
    wait_for_daemon(swarm, keeper)
    running = swarm.submit(average(swarm, averaging, hashlib.sha256(key).digest(), gradient, slots))
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

"""What a worker can be leased to do beside training: sampling, and publishing what it has trained."""

from __future__ import annotations

import time

from r1net.environments import sampling_seed
from r1net.protocol.job import PolicyVersion
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import PublishTask, RolloutTask
from r1net.sandbox.answers import Graded, Place
from r1node.jobs import JobRuntime
from r1node.lease import LeaseKeeper
from r1node.rollout.engine import Completion, Prompt
from r1node.rollout.turns import in_turns


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
    places: list[Place] = [(task.split, task.round, group) for group in task.groups]
    answers = in_turns(engine, job.scorer, places, prompts, sampling, lambda done, total: keeper.check())
    seconds = time.monotonic() - started
    rows = [
        (group, index, prompt, completion)
        for group, prompt, completions in zip(task.groups, prompts, answers, strict=True)
        for index, completion in enumerate(completions)
    ]
    items = [((task.split, task.round, row[0]), row[3].token_ids) for row in rows]
    grades = job.scorer.grade(items, [row[3].given for row in rows])
    traces = [_trace(job, task, keeper.lease.worker, *row, graded) for row, graded in zip(rows, grades, strict=True)]
    tokens = sum(trace.tokens for trace in traces)
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
        given=completion.given,
    )


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

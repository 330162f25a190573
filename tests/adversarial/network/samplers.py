"""Samplers that cheat. Each makes of an honest bundle what it hands in instead; held-out problems are left alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

import r1node.agent
from r1net.environments import sampling_seed
from r1net.protocol.job import Sampling
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.views import TraceView
from r1net.protocol.work import RolloutTask
from r1net.scoring import JobScorer
from r1node.jobs import JobRuntime
from r1node.lease import LeaseKeeper
from r1node.rollout.engine import Completion, Prompt
from r1node.tasks import roll_out
from r1node.verification.calibration import rounded
from tests.adversarial.network.lies import told
from tests.adversarial.node.workshop import noisy, shifted
from tests.e2e.demo.cheat import Forger

SEEDS_TRIED = 4
_PAGE = 500

Lie = Callable[[JobRuntime, RolloutTask, Sequence[Trace]], Sequence[Trace] | None]
"""What is handed in instead of honest traces; None: these, for want of anything to cheat with yet."""
Weights = Mapping[str, Tensor]


def hands_in(lie: Lie) -> Callable[[], None]:
    """A rogue that hands in what `lie` makes of its work."""

    def replaced(job: JobRuntime, task: RolloutTask, keeper: LeaseKeeper) -> tuple[TraceBundle, dict[str, float]]:
        bundle, metrics = roll_out(job, task, keeper)
        false = None if task.split == "heldout" else lie(job, task, bundle.traces)
        if false is None:
            return bundle, metrics
        told(keeper.lease.id)
        return TraceBundle(lease_id=keeper.lease.id, traces=tuple(false)), metrics

    def install() -> None:
        r1node.agent.roll_out = replaced  # type: ignore[attr-defined]

    return install


def sampled(
    job: JobRuntime,
    task: RolloutTask,
    traces: Sequence[Trace],
    sampling: Sampling | None = None,
    prompt: Callable[[Trace], Sequence[int]] = lambda trace: trace.prompt_ids,
    seed: Callable[[Trace], int] = lambda trace: trace.seed,
) -> list[Trace]:
    """The traces' places, sampled once more in another way."""
    prompts = [Prompt(prompt(trace), [seed(trace)]) for trace in traces]
    engine = job.ready_engine(task.version)
    made = engine.generate(prompts, sampling or job.spec.sampling, job.spec.stop_token_ids)
    return completed(job, traces, [one for (one,) in made])


def completed(job: JobRuntime, traces: Sequence[Trace], completions: Sequence[Completion]) -> list[Trace]:
    """The traces with other completions, and with the rewards that these earn."""
    items = [
        ((trace.split, trace.round, trace.group), completion.token_ids)
        for trace, completion in zip(traces, completions, strict=True)
    ]
    return [
        trace.model_copy(
            update={
                "completion_ids": tuple(completion.token_ids),
                "logprobs": tuple(completion.logprobs),
                "finish_reason": completion.finish_reason,
                "reward_parts": graded.parts,
                "reward": graded.reward,
            }
        )
        for trace, completion, graded in zip(traces, completions, job.scorer.grade(items), strict=True)
    ]


def plausible(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> list[Trace]:
    """The same tokens with the log-probabilities that the job's policy gives them: the cheat has the model."""
    replays = job.ready_replayer(task.version).replay(traces)
    found = {(r.trace.group, r.trace.index): r.trace.model_copy(update={"logprobs": shifted(r)}) for r in replays}
    return [found[trace.group, trace.index] for trace in traces]


def from_weights(change: Callable[[Weights], Weights]) -> Lie:
    """Sampled from what `change` makes of the policy's weights."""

    def lie(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
        weights = job.policy.merged()
        job.engine.load(change(weights))
        try:
            return sampled(job, task, traces)
        finally:
            job.engine.load(weights)

    return lie


def random_weights(weights: Weights) -> Weights:
    """Of the same shapes and deviations, and nothing else in common."""
    drawn = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(tensor.shape, generator=drawn) * tensor.std() if tensor.ndim == 2 else tensor
        for name, tensor in weights.items()
    }


class Previous:
    """Stays a version behind."""

    def __init__(self) -> None:
        self._known: dict[int, Weights] = {}

    def __call__(self, job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace] | None:
        number = task.version.number
        self._known[number] = {name: tensor.clone() for name, tensor in job.policy.merged().items()}
        before = self._known.get(number - 1)
        return None if before is None else from_weights(lambda _: before)(job, task, traces)


def at_temperature(temperature: float) -> Lie:
    """Sampled at another temperature, with the right seeds."""

    def lie(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
        other = job.spec.sampling.model_copy(update={"temperature": temperature})
        return plausible(job, task, sampled(job, task, traces, other))

    return lie


def best(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace], *, frank: bool) -> list[Trace]:
    """The best of several seeds, of which only one is the place's own; `frank` states which it was."""
    size, tries = job.spec.stage.group_size, []
    for shift in range(SEEDS_TRIED):

        def seed(trace: Trace, shift: int = shift) -> int:
            return sampling_seed(job.spec, trace.split, trace.round, trace.group, trace.index + shift * size)

        made = sampled(job, task, traces, seed=seed)
        tries.append([trace.model_copy(update={"seed": seed(trace)}) if frank else trace for trace in made])
    return [max(same_place, key=lambda trace: trace.reward or 0.0) for same_place in zip(*tries, strict=True)]


def hinted(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
    """Behind a prompt that holds the answer."""
    path = job.model_dir / "tokenizer.json"
    tokenizer, scorer = Tokenizer.from_file(str(path)), JobScorer(job.spec, path)

    def prompt(trace: Trace) -> Sequence[int]:
        problem = scorer.problem(trace.split, trace.round, trace.group)
        text = job.spec.render(f"{problem.question} {problem.answer}")
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    return plausible(job, task, sampled(job, task, traces, prompt=prompt))


def forged(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
    """The reference answers, as the demo's cheat writes them."""
    path = job.model_dir / "tokenizer.json"
    forger = Forger(JobScorer(job.spec, path), Tokenizer.from_file(str(path)), traces[0].worker)
    return [forger.trace(job.job_id, task, trace.group, trace.index) for trace in traces]


def faked_logprobs(_job: JobRuntime, _task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
    """Such as a sure model has."""
    rng = random.Random(0)
    return [
        trace.model_copy(update={"logprobs": tuple(-rng.uniform(0.01, 0.3) for _ in trace.completion_ids)})
        for trace in traces
    ]


def others(job: JobRuntime, task: RolloutTask, worker: str) -> list[Trace]:
    """What other hosts have brought in the last round, as anybody may read it."""
    views = job.source.walk(f"/v1/jobs/{job.job_id}/traces", TraceView, _PAGE, split="train")
    return [view.trace for view in views if view.trace.round == task.round - 1 and view.trace.worker != worker]


def borrowed(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace] | None:
    """Their completions and log-probabilities, at its own places."""
    found = others(job, task, traces[0].worker)
    if not found:
        return None
    lent = [found[number % len(found)] for number in range(len(traces))]
    return completed(
        job, traces, [Completion([*one.completion_ids], [*one.logprobs], one.finish_reason) for one in lent]
    )


def copied(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace] | None:
    """Their traces as they are, but for the name."""
    found = others(job, task, traces[0].worker)[: len(traces)]
    return [trace.model_copy(update={"worker": traces[0].worker}) for trace in found] or None


class Replayed:
    """What it has handed in first, again and again."""

    def __init__(self) -> None:
        self._first: Sequence[Trace] | None = None

    def __call__(self, job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace] | None:
        if self._first is None or self._first[0].round == task.round:
            self._first = traces
            return None
        return self._first


def ending(change: Callable[[JobRuntime, Trace], list[int]]) -> Lie:
    """Completions of other tokens, made from the honest ones."""

    def lie(job: JobRuntime, task: RolloutTask, traces: Sequence[Trace]) -> Sequence[Trace]:
        stops, made = set(job.spec.stop_token_ids), []
        for trace in traces:
            ids = change(job, trace)
            made.append(Completion(ids, [-0.1] * len(ids), "stop" if ids[-1] in stops else "length"))
        return plausible(job, task, completed(job, traces, made))

    return lie


def cut(job: JobRuntime, trace: Trace) -> list[int]:
    """Less than half of it, and a stop."""
    return [*trace.completion_ids[: (len(trace.completion_ids) - 1) // 2], job.spec.stop_token_ids[0]]


def fill(job: JobRuntime, trace: Trace) -> list[int]:
    """All of it but the stop, and something up to the full length: paid by the token."""
    kept = [token for token in trace.completion_ids if token not in job.spec.stop_token_ids]
    return [*kept, *[trace.prompt_ids[0]] * job.spec.sampling.max_tokens][: job.spec.sampling.max_tokens]


def constant(job: JobRuntime, trace: Trace) -> list[int]:
    """One token, to the full length."""
    return [trace.prompt_ids[0]] * job.spec.sampling.max_tokens


SAMPLERS: dict[str, Callable[[], None]] = {
    name: hands_in(lie)
    for name, lie in {
        "other-model": from_weights(random_weights),
        "noisy-weights": from_weights(lambda weights: noisy(weights, 0.1)),
        "int4": from_weights(lambda weights: rounded(weights, 4)),
        "int8": from_weights(lambda weights: rounded(weights, 8)),
        "previous-version": Previous(),
        "greedy": at_temperature(0.0),
        "cold": at_temperature(0.7),
        "best-of-n": lambda *work: best(*work, frank=False),
        "seed-grinding": lambda *work: best(*work, frank=True),
        "hinted": hinted,
        "forger": forged,
        "faked-logprobs": faked_logprobs,
        "borrowed": borrowed,
        "copied": copied,
        "replayed": Replayed(),
        "truncated": ending(cut),
        "padded": ending(fill),
        "constant": ending(constant),
    }.items()
}

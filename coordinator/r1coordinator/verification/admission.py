"""The admission checks of a rollout bundle: pure functions of the bundle, its lease and the job."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from r1coordinator.verification.refusal import refusal
from r1coordinator.verification.turns import check_replies, check_stops
from r1net.environments import sampling_seed
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec, Sampling
from r1net.protocol.trace import Trace, TraceBundle
from r1net.protocol.work import RolloutTask
from r1net.rewards import total
from r1net.sandbox import SandboxedScorer
from r1net.sandbox.answers import Graded, Place
from r1net.sandbox.own import OwnMark

LOGPROB_SLACK = 1e-4
"""A log-probability may exceed 0 by this much: engines round."""
REWARD_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Terms:
    """What a bundle must fit: the lease and the job."""

    job_id: str
    worker: str
    lease_id: str
    task: RolloutTask
    scorer: SandboxedScorer

    @property
    def spec(self) -> JobSpec:
        """The job's specification."""
        return self.scorer.spec

    @property
    def sampling(self) -> Sampling:
        """How the completions had to be sampled."""
        return self.spec.sampling if self.task.split == "train" else self.spec.evaluation.sampling

    @property
    def size(self) -> int:
        """Completions to a group."""
        return self.spec.stage.group_size if self.task.split == "train" else 1


def check_bundle(bundle: TraceBundle, terms: Terms) -> None:
    """Raises Refused with the first fault; the cheap checks come first, for all traces.

    Raises UsageError when the job itself turns out to be at fault, SandboxFailed when its rewards can't be given now.
    """
    if bundle.lease_id != terms.lease_id:
        raise refusal("wrong_job", "the bundle names another lease")
    for position, trace in enumerate(bundle.traces):
        _check_identity(trace, terms, position)
    _check_complete(bundle, terms)
    groups = terms.task.groups
    prompts = terms.scorer.prompts([(terms.task.split, terms.task.round, group) for group in groups])
    prompt_ids = {group: prompt.ids for group, prompt in zip(groups, prompts, strict=True)}
    vocabulary = terms.scorer.vocabulary
    for position, trace in enumerate(bundle.traces):
        if list(trace.prompt_ids) != prompt_ids[trace.group]:
            raise refusal("wrong_prompt", "the prompt is not the canonical one of its group", position)
        _check_tokens(trace, terms, vocabulary, position)
    check_replies(bundle.traces, terms.scorer)
    _check_rewards(bundle, terms)


def _check_identity(trace: Trace, terms: Terms, position: int) -> None:
    task = terms.task
    if (trace.job_id, trace.split, trace.round) != (terms.job_id, task.split, task.round):
        raise refusal("wrong_job", "another job, split or round than the lease's", position)
    if trace.worker.lower() != terms.worker.lower():
        raise refusal("wrong_worker", f"made by {trace.worker}, but the lease is {terms.worker}'s", position)
    if trace.policy != task.version.policy:
        raise refusal("wrong_policy", f"sampled by {trace.policy}, the lease names {task.version.policy}", position)
    if trace.seed != sampling_seed(terms.spec, trace.split, trace.round, trace.group, trace.index):
        raise refusal("wrong_seed", "the sampler's seed is not the derived one", position)


def _check_complete(bundle: TraceBundle, terms: Terms) -> None:
    wanted = {(group, index) for group in terms.task.groups for index in range(terms.size)}
    found = [(trace.group, trace.index) for trace in bundle.traces]
    if len(found) != len(wanted) or set(found) != wanted:
        detail = f"{len(terms.task.groups)} groups of {terms.size} were leased, {len(found)} traces came"
        raise refusal("incomplete_group", f"{detail}; each must come exactly once")


def _check_tokens(trace: Trace, terms: Terms, vocabulary: int, position: int) -> None:
    ids = trace.completion_ids
    if len(ids) > terms.sampling.max_tokens:
        raise refusal("bad_length", f"{len(ids)} tokens, {terms.sampling.max_tokens} are allowed", position)
    if not all(0 <= token < vocabulary for token in ids):
        raise refusal("bad_token", f"a token id is outside the vocabulary of {vocabulary}", position)
    _check_finish(trace, frozenset(terms.spec.stop_token_ids), terms.sampling.max_tokens, position)
    if not all(math.isfinite(value) and value <= LOGPROB_SLACK for value in trace.logprobs):
        raise refusal("bad_logprob", "a log-probability is positive or not finite", position)


def _check_finish(trace: Trace, stops: Collection[int], max_tokens: int, position: int) -> None:
    last = trace.completion_ids[-1]
    check_stops(trace, stops, position)
    if (trace.finish_reason == "stop") != (last in stops):
        raise refusal("bad_finish", f"finish_reason {trace.finish_reason!r} does not fit the last token", position)
    if trace.finish_reason == "length" and len(trace.completion_ids) != max_tokens:
        raise refusal("bad_length", "cut off before the length limit", position)


def _check_rewards(bundle: TraceBundle, terms: Terms) -> None:
    """A fault of the job's own rewards is the job's (UsageError), and so is one that comes to something else when it is
    computed again. Only where it comes to the same here, and not there, is the bundle refused: at no cost."""
    order = sorted(range(len(bundle.traces)), key=lambda at: (bundle.traces[at].group, bundle.traces[at].index))
    traces = [bundle.traces[position] for position in order]
    items = [((trace.split, trace.round, trace.group), trace.completion_ids) for trace in traces]
    given = [trace.given for trace in traces]
    grades = terms.scorer.grade(items, given)
    _require_sound([place for (place, _), graded in zip(items, grades, strict=True) if graded.fault], grades, terms)
    for position, trace, graded in sorted(zip(order, traces, grades, strict=True), key=lambda row: row[0]):
        _check_reward(trace, graded, terms.spec, position)
    _check_own(order, traces, grades, lambda: terms.scorer.again(items, grades, given))


def _require_sound(places: Sequence[Place], grades: Sequence[Graded], terms: Terms) -> None:
    """A function that fails on a completion has no mark for it; one that fails on an empty one, too, is no reward, and
    ends its job: whoever samples must not be able to do that by what a completion says."""
    unique = list(dict.fromkeys(places))
    plain = terms.scorer.own_marks([(place, terms.spec.stop_token_ids[:1]) for place in unique], [()] * len(unique))
    if any(mark.fault for marks in plain for mark in marks.values()):
        raise UsageError(next(graded.fault for graded in grades if graded.fault is not None))


def _check_own(
    order: Sequence[int],
    traces: Sequence[Trace],
    grades: Sequence[Graded],
    again: Callable[[], list[tuple[dict[str, OwnMark], ...]]],
) -> None:
    """Parts that run a stranger's code: each must be what it came to here, the first time or again."""
    others: list[tuple[dict[str, OwnMark], ...]] | None = None
    for number, (trace, graded) in enumerate(zip(traces, grades, strict=True)):
        for name, mark in graded.own.items():
            claimed = trace.reward_parts[name]
            if _may_be(claimed, mark) or (graded.doubtful and _given_up(trace)):
                continue
            others = others or again()
            if not any(_may_be(claimed, marks[name]) for marks in others[number]):
                raise refusal("own_reward_mismatch", f"{name} is {mark.words}, not {claimed}", order[number])


def _may_be(claimed: float | None, mark: OwnMark) -> bool:
    """Whether a mark is what is claimed, or may be for lack of time."""
    return _close(claimed, mark.value) or (mark.doubtful and _close(claimed, mark.late))


def _check_reward(trace: Trace, graded: Graded, spec: JobSpec, position: int) -> None:
    """The registered parts, and the sum of all as claimed."""
    if graded.parts.keys() != trace.reward_parts.keys():
        raise refusal("reward_mismatch", f"the job's rewards are {', '.join(graded.parts)}", position)
    if graded.doubtful and _given_up(trace):
        return
    for name, value in graded.parts.items():
        if name not in graded.own and not _close(trace.reward_parts[name], value):
            raise refusal("reward_mismatch", f"{name} is {value}, not {trace.reward_parts[name]}", position)
    reward = total(spec.rewards, graded.parts | {name: trace.reward_parts[name] for name in graded.own})
    if not _close(trace.reward, reward):
        raise refusal("reward_mismatch", f"the reward is {reward}, not {trace.reward}", position)


def _given_up(trace: Trace) -> bool:
    """Whether the node found the completion over the limit of time, where everything is 0."""
    return trace.reward == 0 and all(part == 0 for part in trace.reward_parts.values())


def _close(claimed: float | None, found: float | None) -> bool:
    if claimed is None or found is None:
        return claimed is found
    return abs(claimed - found) <= REWARD_TOLERANCE

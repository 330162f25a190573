"""`python -m r1node.signal`: what a model's own completions on a job's problems come to, on this machine.

Reads a `r1net.jobs.sample.SampleRequest` from its standard input and writes a `r1net.jobs.signal.Signal`, or a problem
{code, message, hint}. So a submitter who has a node installed learns the signal before paying.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from r1net.cli.output import render_error
from r1net.environments import sampling_seed
from r1net.errors import R1Error
from r1net.jobs.sample import SampleRequest
from r1net.jobs.signal import Signal
from r1net.local_files import LocalFiles
from r1net.protocol.job import JobSpec
from r1net.rewards import solved
from r1net.sandbox import Limits, SandboxedScorer, SandboxPool
from r1net.sandbox.answers import Graded, Marks, Place
from r1net.shaping import deviation, has_spread
from r1node.models.precision import computing
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt, RolloutEngine
from r1node.rollout.transformers import TransformersEngine
from r1node.sandbox import job_scorer
from r1node.training.policy import load_policy

MARKED = 8
"""Problems on which the reference answer and an empty one are tried."""
_EMPTY = {"", "<answer></answer>", "</answer>"}


def measure(spec: JobSpec, folder: Path, scorer: SandboxedScorer, groups: int) -> Signal:
    """The signal of the first `groups` groups of the first round. Says how far it is on standard error."""
    engine = _engine(spec, folder)
    places: list[Place] = [("train", 0, group) for group in range(groups)]
    prompts = [
        Prompt(ids=prompt.ids, seeds=[sampling_seed(spec, *place, index) for index in range(spec.stage.group_size)])
        for place, prompt in zip(places, scorer.prompts(places), strict=True)
    ]
    began = time.monotonic()
    made = engine.generate(prompts, spec.sampling, spec.stop_token_ids, _say)
    seconds = time.monotonic() - began
    items = [(place, one.token_ids) for place, members in zip(places, made, strict=True) for one in members]
    grades = scorer.grade(items)
    size = spec.stage.group_size
    grouped = [grades[at : at + size] for at in range(0, len(grades), size)]
    marks = [scorer.marks(group) for group in range(min(groups, MARKED))]
    return _signal(grouped, [one for members in made for one in members], marks, seconds)


def _engine(spec: JobSpec, folder: Path) -> RolloutEngine:
    policy, dtype = load_policy(spec, folder, "cpu"), computing("cpu", spec.dtype)
    engine: RolloutEngine
    if policy.why_not_plain is None:
        engine = BuiltinEngine(policy.config, dtype)
    else:
        engine = TransformersEngine(policy.module, dtype)
    engine.load(policy.merged())
    return engine


def _say(done: int, total: int) -> None:
    print(f"sampled {done} of {total}", file=sys.stderr, flush=True)


def _signal(
    groups: Sequence[Sequence[Graded]], made: Sequence[Completion], marks: Sequence[Marks], seconds: float
) -> Signal:
    rewards = [[one.reward for one in group] for group in groups]
    judged = [[full for one in group if (full := solved(one.parts)) is not None] for group in groups]
    known = [group for group in judged if group]
    given = [reward for group in rewards for reward in group if reward is not None]
    lengths = [len(one.token_ids) for one in made]
    return Signal(
        groups=len(groups),
        completions=len(made),
        pass_rate=_mean([float(full) for group in known for full in group]),
        unsolved=_mean([float(not any(group)) for group in known]),
        solved=_mean([float(all(group)) for group in known]),
        reward=_mean(given),
        deviation=statistics.fmean(deviation(group) for group in rewards),
        spread=statistics.fmean(has_spread(group) for group in rewards),
        truncated=statistics.fmean(one.finish_reason == "length" for one in made),
        mean_length=statistics.fmean(lengths),
        gold=_mean([mark.score for one in marks for mark in one.marks if mark.gold and mark.score is not None]),
        empty=_mean(
            [mark.score for one in marks for mark in one.marks if mark.text in _EMPTY and mark.score is not None]
        ),
        tokens_per_second=sum(lengths) / max(seconds, 1e-9),
    )


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def main() -> None:
    """Answer one request."""
    try:
        request = SampleRequest.parse(sys.stdin.buffer.read())
        folder, files = Path(request.model), LocalFiles(Path(request.files))
        with closing(SandboxPool(2, Limits.of_node(), unsafe=True)) as pool:  # the caller's own job
            scorer = job_scorer(pool, request.spec, folder, files.path)
            print(measure(request.spec, folder, scorer, request.groups).model_dump_json())
    except R1Error as error:
        render_error(error, as_json=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

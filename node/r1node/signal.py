"""`python -m r1node.signal`: what a model's own completions on a job's problems come to, on this machine.

Reads a `r1net.jobs.sample.SampleRequest` from its standard input and writes a `r1net.jobs.signal.Signal`, or a problem
{code, message, hint}. So a submitter who has a node installed learns the signal before paying.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

from r1net.cli.edge import told
from r1net.environments import sampling_seed
from r1net.jobs.sample import SampleRequest
from r1net.jobs.signal import Sampled, Signal, mean, signal_of
from r1net.local_files import LocalFiles
from r1net.protocol.job import JobSpec
from r1net.sandbox import Limits, SandboxedScorer, SandboxPool
from r1net.sandbox.answers import Graded, Place
from r1node.models.precision import computing
from r1node.rollout.builtin import BuiltinEngine
from r1node.rollout.engine import Completion, Prompt, RolloutEngine
from r1node.rollout.transformers import TransformersEngine
from r1node.rollout.turns import in_turns
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
    made = in_turns(engine, scorer, places, prompts, spec.sampling, _say)
    seconds = time.monotonic() - began
    items = [(place, one) for place, members in zip(places, made, strict=True) for one in members]
    grades = iter(scorer.grade([(place, one.token_ids) for place, one in items], [one.given for _, one in items]))
    sampled = [[_sampled(one, next(grades)) for one in members] for members in made]
    marks = [mark for group in range(min(groups, MARKED)) for mark in scorer.marks(group).marks]
    gold = mean([mark.score for mark in marks if mark.gold and mark.score is not None])
    empty = mean([mark.score for mark in marks if mark.text in _EMPTY and mark.score is not None])
    tokens = sum(one.tokens for members in sampled for one in members)
    return signal_of(sampled, tokens / max(seconds, 1e-9), gold, empty)


def _sampled(completion: Completion, graded: Graded) -> Sampled:
    own = len(completion.token_ids) - sum(end - begin for begin, end in completion.given)
    return Sampled(graded.reward, graded.parts, own, completion.finish_reason == "length")


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


def main() -> None:
    """Answer one request."""
    with told(as_json=True, extra="node"):
        request = SampleRequest.parse(sys.stdin.buffer.read())
        folder, files = Path(request.model), LocalFiles(Path(request.files))
        with closing(SandboxPool(2, Limits.of_node(), unsafe=True)) as pool:  # the caller's own job
            scorer = job_scorer(pool, request.spec, folder, files.path)
            print(measure(request.spec, folder, scorer, request.groups).model_dump_json())


if __name__ == "__main__":
    main()

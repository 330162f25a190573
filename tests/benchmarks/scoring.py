"""Admission with its rewards computed in the sandbox, against the same in the coordinator's own process.

    python -m tests.benchmarks.scoring

Both in one run, in turn, on the tiny demo's problems: real submissions through the coordinator's admission, and the
grading alone. Prints completions a second and the ratio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from r1coordinator.verification.scorers import Scorers
from r1net.protocol.job import Evaluation, Grpo, JobSpec, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.sandbox.answers import Graded, Place, Prompt
from r1net.scoring import JobScorer
from tests.e2e.demo import tiny
from tests.sandbox import SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.coordinator.network import World

ROUNDS, GROUPS, SIZE, TOKENS = 12, 16, 8, 93


class InProcess:
    """The sandboxed scorer's surface, without a sandbox: what admission did before there was one."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self._scorer = JobScorer(spec, MODEL_FILES["tokenizer.json"])
        self.vocabulary = 260

    def prompts(self, places: Sequence[Place]) -> list[Prompt]:
        """See SandboxedScorer."""
        return [
            Prompt(question="", text=self._scorer.prompt(*place), ids=self._scorer.prompt_ids(*place))
            for place in places
        ]

    def grade(self, items: Sequence[tuple[Place, Sequence[int]]]) -> list[Graded]:
        """See SandboxedScorer."""
        scored = [self._scorer.score(*place, ids) for place, ids in items]
        return [Graded(one.reward, one.parts) for one in scored]


def spec_of(name: str) -> JobSpec:
    """The tiny demo's problems, with completions as long as reasoning is at its start."""
    return job_spec(
        name=name,
        environment=EnvironmentSpec(name=tiny.ENVIRONMENT, config=tiny.CONFIG),
        rewards=(RewardSpec(name="correct"), RewardSpec(name="format")),
        stage=Grpo(rounds=1, groups_per_round=ROUNDS * GROUPS, group_size=SIZE),
        sampling=Sampling(max_tokens=TOKENS),
        evaluation=Evaluation(problems=0),
    )


def admitted_per_second(world: World, job_id: str, scorer: object) -> float:
    """Completions a second through the whole of one submission's admission."""
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    submission = node.sign(lease, node.traces(lease))
    scorers = world.services.scorers
    real, scorers.of = Scorers.of, lambda job_id, spec: scorer  # type: ignore[method-assign,assignment,return-value]
    began = time.perf_counter()
    world.services.admission.submit(node.worker, lease.id, submission, world.clock())
    seconds = time.perf_counter() - began
    scorers.of = real.__get__(scorers)  # type: ignore[method-assign]
    return len(submission.bundle.traces) / seconds


def graded_per_second(scorer: InProcess | object, spec: JobSpec) -> float:
    """Completions a second of grading alone."""
    items = [(("train", 0, group), [120] * TOKENS) for group in range(GROUPS) for _ in range(SIZE)]
    began = time.perf_counter()
    scorer.grade(items)  # type: ignore[union-attr]
    return len(items) / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    SANDBOX.start()
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            for number, name in enumerate(("in process", "sandbox")):
                world = World(Path(folder) / f"{turn}-{number}", max_body_bytes=2**26)
                spec = spec_of(f"{name} {turn}")
                job_id = world.submit(spec)
                scorer = InProcess(spec) if name == "in process" else world.services.scorers.of(job_id, spec)
                figures.setdefault(f"admitted, {name}", []).append(admitted_per_second(world, job_id, scorer))
                figures.setdefault(f"graded, {name}", []).append(graded_per_second(scorer, spec))
                world.kill()
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for what in ("admitted", "graded"):
        here, apart = medians[f"{what}, in process"], medians[f"{what}, sandbox"]
        print(f"{what}: in process {here:,.0f}/s, sandbox {apart:,.0f}/s, ratio {apart / here:.2f}")


if __name__ == "__main__":
    main()

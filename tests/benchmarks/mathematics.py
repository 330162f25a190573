"""Completions whose mathematics is graded a second: the reward `math` in the sandbox, on two processes.

    python -m tests.benchmarks.mathematics

Groups of eight completions of different problems, each a thought of 400 characters and an answer: half of them the
reference answer in different words, half of them wrong, no two alike. Whole numbers, and fractions in LaTeX. Two jobs
at the same time, as a pool of two gives each one process. Beside completions a second, which depend on what else the
machine does, the CPU time of one in this process.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from tokenizers import Tokenizer

from r1net.protocol.job import EnvironmentSpec, Evaluation, Grpo, JobSpec, RewardSpec, Sampling
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.answers import Place
from r1net.scoring import JobScorer
from tests.unit.coordinator.jobs import MODEL_FILES, STOP, job_spec, tokenizer_json

ROUNDS, GROUPS, SIZE = 20, 16, 8
THOUGHT = "<think>" + "Let us add what there is, and take away the rest. " * 8 + "</think>"
RIGHT = (
    "<answer>{}</answer>",
    "<answer>The answer is ${}$.</answer>",
    "so \\boxed{{{}}}",
    "<answer>\\boxed{{{}}}</answer>",
)
TOKENIZER = Tokenizer.from_buffer(tokenizer_json())
GENERATORS = {"whole numbers": "chain_sum", "fractions in LaTeX": "fraction_simplification"}

Item = tuple[Place, list[int]]


def spec_of(generator: str, name: str) -> JobSpec:
    """A job of one generator whose only reward is `math`."""
    return job_spec(
        name=name,
        environment=EnvironmentSpec(name=f"reasoning_gym:{generator}"),
        rewards=(RewardSpec(name="math"),),
        stage=Grpo(rounds=1, groups_per_round=ROUNDS * GROUPS, group_size=SIZE),
        sampling=Sampling(max_tokens=1024),
        evaluation=Evaluation(problems=0),
    )


def completions(scorer: JobScorer, group: int) -> list[Item]:
    """One group: right and wrong answers in turn."""
    gold = str(scorer.problem("train", 0, group).answer)
    items: list[Item] = []
    for member in range(SIZE):
        wrong = f"\\frac{{{1000 + group}}}{{{1001 + member}}}" if "frac" in gold else str(10_000 * member + group)
        form = RIGHT[member // 2 % len(RIGHT)]
        text = THOUGHT + form.format(wrong if member % 2 else gold.strip("$"))
        items.append((("train", 0, group), [*TOKENIZER.encode(text).ids, STOP]))
    return items


def graded(pool: SandboxPool, generator: str) -> list[float]:
    """Grade for two jobs at the same time: completions a second in each round."""
    jobs = [spec_of(generator, name) for name in ("one", "two")]
    insides = [JobScorer(spec, MODEL_FILES["tokenizer.json"]) for spec in jobs]
    aparts = [
        SandboxedScorer(pool, spec, lambda: MODEL_FILES["tokenizer.json"], lambda: MODEL_FILES["config.json"])
        for spec in jobs
    ]
    for apart in aparts:
        apart.load()
    rates: list[float] = []
    with ThreadPoolExecutor(2) as threads:
        for turn in range(ROUNDS):
            batches = [batch_of(inside, turn) for inside in insides]
            began = time.perf_counter()
            found = list(threads.map(SandboxedScorer.grade, aparts, batches))
            rates.append(2 * len(batches[0]) / (time.perf_counter() - began))
            for grades in found:
                assert sum(grade.reward == 1.0 for grade in grades) == len(grades) // 2, generator
    return rates


def cpu_each(generator: str) -> float:
    """CPU seconds of one completion in this process."""
    inside = JobScorer(spec_of(generator, "here"), MODEL_FILES["tokenizer.json"])
    inside.check(260)
    batches = [batch_of(inside, turn) for turn in range(ROUNDS)]
    began = time.process_time()
    for batch in batches:
        for place, ids in batch:
            inside.score(*place, ids)
    return (time.process_time() - began) / (ROUNDS * GROUPS * SIZE)


def batch_of(scorer: JobScorer, turn: int) -> list[Item]:
    """The completions of one round."""
    return [item for group in range(turn * GROUPS, (turn + 1) * GROUPS) for item in completions(scorer, group)]


def main() -> None:
    """Measure and print."""
    pool = SandboxPool(processes=2)
    for kind, generator in GENERATORS.items():
        rates, each = graded(pool, generator), cpu_each(generator)
        print(
            f"{kind}: {statistics.median(rates):,.0f}/s, at best {max(rates):,.0f}/s; "
            f"{1000 * each:.2f} ms of CPU each, that is {2 / each:,.0f}/s on two cores"
        )
    pool.close()


if __name__ == "__main__":
    main()

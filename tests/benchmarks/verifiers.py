"""Which generators' verifiers a job may stand on: `python -m tests.benchmarks.verifiers [generator …]` prints a table.

Each generator of reasoning-gym with its own settings, tried as `Client.submit` tries a job (`r1net.probe`).
"""

from __future__ import annotations

import sys
import time

from reasoning_gym.factory import DATASETS

from r1net.errors import UsageError
from r1net.probe import PROBLEMS, check_verifiers
from r1net.protocol.job import Evaluation, RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.sandbox import SandboxedScorer, SandboxPool
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec


def verdict(pool: SandboxPool, generator: str) -> str:
    """What the trial says, and how many problems it had time for."""
    spec = job_spec(
        environment=EnvironmentSpec(name=f"reasoning_gym:{generator}"),
        rewards=(RewardSpec(name="correct"),),
        evaluation=Evaluation(problems=0),
    )
    scorer = SandboxedScorer(pool, spec, lambda: MODEL_FILES["tokenizer.json"], lambda: MODEL_FILES["config.json"])
    try:
        tried = check_verifiers(scorer)
    except UsageError as error:
        return f"refused: {error.message.partition('; one such problem')[0]}"
    return "fine" if tried == PROBLEMS else f"fine, {tried} problems in the time there is"


def main() -> None:
    """Print a line for each generator, in Markdown."""
    pool = SandboxPool(processes=2)
    print("| generator | trial | seconds |\n|---|---|---|")
    for generator in sys.argv[1:] or sorted(DATASETS):
        began = time.monotonic()
        said = verdict(pool, generator)
        print(f"| {generator} | {said} | {time.monotonic() - began:.1f} |", flush=True)
    pool.close()


if __name__ == "__main__":
    main()

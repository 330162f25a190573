"""A verifier that pays for nothing teaches nothing, and whoever funds the job pays for it: it is found before that.

64 of the job's own problems are tried, in the sandbox in which coordinator and nodes grade: there the same graders give
the same marks, and one that hangs or takes the memory ends its own process.
"""

from __future__ import annotations

import time
from pathlib import Path

from r1net.errors import UsageError
from r1net.marks import VERIFYING
from r1net.protocol.job import JobSpec
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.scorer import Mark

PROBLEMS = 64
FULL = 1.0
FLOOR = 0.05
"""Many generators give 0.01 for any text and 0.05 for any number: a constant, which no advantage sees."""
SECONDS = 60.0
"""Some generators take a second for a problem: then those that were tried by now must do."""
_HINT = "choose another environment, other settings or another reward; accept_weak_verifier=True goes on all the same"


def check_job(spec: JobSpec, folder: Path, accept_weak_verifier: bool = False) -> None:
    """Load a job as everyone will, and try its verifiers. Raises UsageError in words about the job, SandboxFailed.

    The submitter's own settings may be tried without a boundary where the machine has none; bounds of time and memory
    hold in any case.
    """
    pool = SandboxPool(processes=2, unsafe=True)
    try:
        files = (folder / "tokenizer.json").read_bytes, (folder / "config.json").read_bytes
        scorer = SandboxedScorer(pool, spec, *files)
        scorer.load()
        if not accept_weak_verifier:
            check_verifiers(scorer)
    finally:
        pool.close()


def check_verifiers(scorer: SandboxedScorer, seconds: float = SECONDS) -> int:
    """Try the verifying rewards on the first problems of training: the reference answer must earn all, an answer that
    is none at most `FLOOR`. Problems without a reference answer are tried for the latter alone.

    Returns how many problems were tried in `seconds`. Raises UsageError naming reward, problem, answer and mark.
    """
    if not any(reward.name in VERIFYING for reward in scorer.spec.rewards):
        return 0
    deadline = time.monotonic() + seconds
    for group in range(PROBLEMS):
        tried = scorer.marks(group)
        for mark in tried.marks:
            _judge(mark, tried.question)
        if time.monotonic() > deadline:
            return group + 1
    return PROBLEMS


def _judge(mark: Mark, question: str) -> None:
    if mark.score is None or (mark.score >= FULL if mark.gold else mark.score <= FLOOR):
        return
    what = f"its reference answer {mark.text[:100]!r}" if mark.gold else f"the worthless answer {mark.text[:100]!r}"
    wanted = f"not {FULL:g}" if mark.gold else f"more than {FLOOR:g}"
    problem = " ".join(question.split())
    raise UsageError(
        f"the reward {mark.reward!r} gives {what} {mark.score:g}, {wanted}; the problem: {problem[:200]}", hint=_HINT
    )

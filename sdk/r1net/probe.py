"""A verifier that pays for nothing teaches nothing, and whoever funds the job pays for it: it is found before that.

64 of the job's own problems are tried, in the sandbox in which coordinator and nodes grade: there the same graders give
the same marks, and one that hangs or takes the memory ends its own process.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from r1net.errors import UsageError
from r1net.own import try_own_rewards, try_own_tool
from r1net.protocol.job import JobSpec
from r1net.rewards import verifiers
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.answers import Mark

PROBLEMS = 64
FULL = 1.0
MOST = 0.5
"""A worthless answer that earns more than this is a fault, if it does so for one problem only."""
FLOOR = 0.05
"""A worthless answer may earn so much on average. Many generators give 0.01 for any text and 0.05 for any number,
which is the same for all completions and teaches nothing; others pay for each letter in its place, which nonsense may
hit. What pays for nothing pays far more: 0.25 for anything now and then, or 1 for everything."""
SECONDS = 60.0
"""Some generators take a second for a problem: then those that were tried by now must do."""
_HINT = "choose another environment, other settings or another reward; accept_weak_verifier=True goes on all the same"
_ROUNDING = 1e-9


@dataclass
class _Worthless:
    """What one worthless answer earned from one reward, and the problem for which it earned most."""

    scores: list[float] = field(default_factory=list)
    question: str = ""

    def add(self, score: float, question: str) -> None:
        if score > max(self.scores, default=-1.0):
            self.question = question
        self.scores.append(score)


def check_job(spec: JobSpec, folder: Path, local: Callable[[str], Path], accept_weak_verifier: bool = False) -> None:
    """Load a job as everyone will, and try its own rewards, its own tool and its verifiers. `local` finds its files
    beside the model's. Raises UsageError in words about the job, SandboxFailed.

    The submitter's own settings may be tried without a boundary where the machine has none; bounds of time and memory
    hold in any case.
    """
    pool = SandboxPool(processes=2, unsafe=True)
    try:
        files = (folder / "tokenizer.json").read_bytes, (folder / "config.json").read_bytes
        scorer = SandboxedScorer(pool, spec, *files, files=local)
        scorer.check_rows()
        scorer.load()
        try_own_rewards(pool, spec, scorer, lambda digest: local(digest).read_bytes())
        try_own_tool(pool, spec, scorer, lambda digest: local(digest).read_bytes())
        if not accept_weak_verifier:
            check_verifiers(scorer)
    finally:
        pool.close()


def check_verifiers(scorer: SandboxedScorer, seconds: float = SECONDS) -> int:
    """Try the verifying rewards on the first problems of training: the reference answer must earn all, every time, an
    answer that is none at most `FLOOR`. Problems without a reference answer are tried for the latter alone.

    Returns how many problems were tried in `seconds`. Raises UsageError naming reward, problem, answer and mark.
    """
    if not verifiers(scorer.spec.rewards):
        return 0
    deadline = time.monotonic() + seconds
    worthless: defaultdict[tuple[str, str], _Worthless] = defaultdict(_Worthless)
    tried = 0
    while tried < PROBLEMS and (not tried or time.monotonic() < deadline):
        problem = scorer.marks(tried)
        for mark in problem.marks:
            _judge(mark, problem.question)
            if not mark.gold and mark.score is not None:
                worthless[mark.reward, mark.text].add(mark.score, problem.question)
        tried += 1
    for (reward, text), earned in worthless.items():
        mean = sum(earned.scores) / len(earned.scores)
        if mean > FLOOR + _ROUNDING:
            _refuse(
                reward, f"the worthless answer {text!r} {mean:.2g} on average, more than {FLOOR:g}", earned.question
            )
    return tried


def _judge(mark: Mark, question: str) -> None:
    if mark.score is None:
        return
    if mark.gold and mark.score < FULL:
        _refuse(mark.reward, f"its reference answer {mark.text[:200]!r} {mark.score:g}, not {FULL:g}", question)
    if not mark.gold and mark.score > MOST:
        _refuse(mark.reward, f"the worthless answer {mark.text!r} {mark.score:g}", question)


def _refuse(reward: str, what: str, question: str) -> NoReturn:
    problem = " ".join(question.split())[:300]
    raise UsageError(f"the reward {reward!r} gives {what}; one such problem: {problem}", hint=_HINT)

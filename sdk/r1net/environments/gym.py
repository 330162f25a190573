"""Adapter to the public `reasoning-gym` library (arXiv:2505.24760): over 100 procedural generators with verifiers."""

from __future__ import annotations

import math
from typing import Any

from r1net.environments.base import Problem
from r1net.errors import UsageError


class ReasoningGym:
    """One reasoning-gym generator with its settings. A problem is item 0 of the data set seeded with `seed`."""

    def __init__(self, generator: str, config: dict[str, Any]) -> None:
        # the library loads a hundred generators: only who has a job pays for that
        import reasoning_gym  # noqa: PLC0415
        from reasoning_gym.factory import DATASETS  # noqa: PLC0415

        if generator not in DATASETS:
            near = ", ".join(sorted(name for name in DATASETS if generator[:4] in name)[:5])
            raise UsageError(
                f"reasoning_gym has no generator {generator!r}", hint=f"did you mean {near}?" if near else None
            )
        self._create = reasoning_gym.create_dataset
        self._name = generator
        self._config = config
        try:
            self._scorer = self._create(generator, seed=0, size=1, **config)
        except (TypeError, AssertionError, ValueError) as error:
            raise UsageError(f"reasoning_gym:{generator} refuses its settings: {error}") from error

    def problem(self, seed: int) -> Problem:
        """Item 0 of the generator's data set with this seed (the generators take 31 bits)."""
        entry = self._create(self._name, seed=seed % 2**31, size=1, **self._config)[0]
        answer = entry["answer"]
        return Problem(str(entry["question"]), None if answer is None else str(answer), entry)

    def verify(self, problem: Problem, answer: str) -> float:
        """The generator's own `score_answer`, clamped to [0, 1]; an answer that it can't read scores 0."""
        try:
            score = float(self._scorer.score_answer(answer=answer, entry=problem.entry))
        except Exception:  # some generators (prime_factorization, boxnet, …) raise whatever their parsing raises
            return 0.0
        return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0

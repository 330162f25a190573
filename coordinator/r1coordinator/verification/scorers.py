"""The scorers of the jobs at work: each job is scored in the sandbox, from the blobs that it names."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial

from r1coordinator.store.blobs import BlobStore
from r1net.environments import Weights
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.model_files import MOST_BYTES, MOST_TOKENIZER_BYTES
from r1net.protocol.weight_files import INDEX, MOST_INDEX_BYTES
from r1net.sandbox import SandboxedScorer, SandboxPool
from r1net.sandbox.asking import examine

_KEPT = 256
_ROUNDS = 1024
"""Rounds of a job whose weights are remembered: once a round has opened, they never change."""


class Scorers:
    """Scorers by job, safe for threads. What they cost lives in the pool's processes. `mix` brings the weights of a
    job's round."""

    def __init__(self, blobs: BlobStore, pool: SandboxPool, mix: Callable[[str, int], Weights]) -> None:
        self._blobs, self._pool, self._mix = blobs, pool, mix
        self._lock = threading.Lock()
        self._known: OrderedDict[str, SandboxedScorer] = OrderedDict()

    def of(self, job_id: str, spec: JobSpec) -> SandboxedScorer:
        """The job's scorer. Jobs of one specification share it, unless each has a curriculum of its own."""
        key = spec.digest() if spec.environment.curriculum is None else job_id
        with self._lock:
            scorer = self._known.pop(key, None) or self._make(job_id, spec)
            self._known[key] = scorer
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return scorer

    def examine(self, spec: JobSpec) -> None:
        """Whether a specification's environment makes problems. Raises UsageError, SandboxFailed."""
        examine(self._pool, spec)

    def check(self, job_id: str, spec: JobSpec) -> None:
        """Whether the job can be worked on with the files that have come. Raises UsageError, SandboxFailed."""
        scorer = self.of(job_id, spec)
        scorer.check_rows()
        scorer.load()

    def _make(self, job_id: str, spec: JobSpec) -> SandboxedScorer:
        files = spec.model.files
        tokenizer, config, index = files["tokenizer.json"], files["config.json"], files.get(INDEX)
        if index is not None and index.size > MOST_INDEX_BYTES:
            raise UsageError(f"{INDEX} may have {MOST_INDEX_BYTES} bytes")
        if tokenizer.size > MOST_TOKENIZER_BYTES or config.size > MOST_BYTES:
            raise UsageError(f"tokenizer.json may have {MOST_TOKENIZER_BYTES} bytes, config.json {MOST_BYTES}")
        return SandboxedScorer(
            self._pool,
            spec,
            lambda: self._blobs.get(tokenizer.sha256),
            lambda: self._blobs.get(config.sha256),
            None if index is None else lambda: self._blobs.get(index.sha256),
            files=self._blobs.path,
            mix=lru_cache(_ROUNDS)(partial(self._mix, job_id)),
        )

"""The scorers of the jobs at work, loaded once from the blobs that the jobs name."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from r1coordinator.store.blobs import BlobStore
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.scoring import JobScorer

_KEPT = 16


@dataclass(frozen=True)
class Loaded:
    """A job's scorer and the number of token ids that its model can emit."""

    scorer: JobScorer
    vocabulary: int


class Scorers:
    """A small cache, safe for threads."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def of(self, spec: JobSpec) -> Loaded:
        """The job's scorer. Raises UsageError when its files don't fit."""
        key = spec.digest()
        found = self._known(key)
        if found is not None:
            return found
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:  # one thread loads; a job that loads slowly keeps no other job waiting
            found = self._known(key) or self._load(spec)
        with self._lock:
            self._loaded[key] = found
            self._loading.pop(key, None)
            while len(self._loaded) > _KEPT:
                self._loaded.popitem(last=False)
        return found

    def _known(self, key: str) -> Loaded | None:
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
            return self._loaded.get(key)

    def check(self, spec: JobSpec) -> None:
        """Whether the job can be worked on: its tokenizer reads, its prompts have tokens, its stop ids exist."""
        loaded = self.of(spec)
        if not loaded.scorer.prompt_ids("train", 0, 0):
            raise UsageError("the prompt has no tokens")
        if any(token >= loaded.vocabulary for token in spec.stop_token_ids):
            raise UsageError(f"a stop token id is outside the vocabulary of {loaded.vocabulary}")
        loaded.scorer.score("train", 0, 0, [spec.stop_token_ids[0]])

    def _load(self, spec: JobSpec) -> Loaded:
        scorer = JobScorer(spec, self._blobs.path(spec.model.files["tokenizer.json"].sha256))
        try:
            config = json.loads(self._blobs.get(spec.model.files["config.json"].sha256))
            vocabulary = int(config["vocab_size"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"the model's config.json names no vocab_size: {error!r}") from error
        return Loaded(scorer, vocabulary)

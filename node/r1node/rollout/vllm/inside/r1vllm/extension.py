"""Methods that vLLM mixes into its worker class, so that they run where the model is."""

from __future__ import annotations

import time
from typing import Any

from .check import disagreements
from .seeded import SeededSampler


class Extension:
    """Called through `collective_rpc`. The names must not clash with the worker's."""

    model_runner: Any

    def r1_install(self) -> None:
        """Put the seeded sampler in place."""
        self.model_runner.sampler = SeededSampler(self.model_runner, self.model_runner.sampler)

    def r1_load(self, folder: str) -> float:
        """Take the weights of `folder` in place; seconds it took."""
        started = time.monotonic()
        self.reload_weights(weights_path=folder)  # type: ignore[attr-defined]
        _repack_tied_head(self.model_runner.get_model())
        return time.monotonic() - started

    def r1_check(self, folder: str) -> list[str]:
        """Names of layers that don't compute with the weights of `folder`."""
        return disagreements(self.model_runner.get_model(), folder)


def _repack_tied_head(model: Any) -> None:
    """vLLM's reload skips an output layer that shares the embedding's weights, but kernels may hold a packed copy."""
    head = getattr(model, "lm_head", None)
    if head is not None and getattr(model.config, "tie_word_embeddings", False):
        head = head.tie_weights(model.model.embed_tokens)
        head.quant_method.process_weights_after_loading(head)
        model.lm_head = head

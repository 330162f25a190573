"""The engine for models that the built-in kernels don't compute: transformers' own forward pass and cache.

Sequences whose prompts are equally long run together, so that no row is ever padded: masks, windows and positions are
the model's own, and what is sampled is what `row_logits` says of it in one pass. A group's prompt runs once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from r1net.protocol.architectures import require_length
from r1net.protocol.job import Sampling
from r1node.models.checkpoint import with_weights
from r1node.rollout.engine import Completion, Progress, Prompt
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import sample

Place = tuple[int, int]
"""A prompt's number, and the completion's in its group."""


class TransformersEngine:
    """Implements `RolloutEngine` for a transformers `module`, of which it keeps a copy in the precision `dtype`.

    `token_budget` bounds the cache, in tokens of prompts and completions.
    """

    def __init__(self, module: Any, dtype: torch.dtype, device: str = "cpu", token_budget: int = 65536) -> None:
        self._skeleton, self._dtype, self._device, self._budget = module, dtype, device, token_budget
        self._config = module.config.to_dict()
        self._module: Any = None

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See `RolloutEngine.load`."""
        self._module = None  # the old copy goes before the new one comes
        self._module = with_weights(self._skeleton, weights.__getitem__, self._dtype)

    def unload(self) -> None:
        """See `RolloutEngine.unload`."""
        self._module = None

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """See `RolloutEngine.generate`. Raises UsageError for sequences that the model's positions don't serve."""
        if self._module is None:
            raise RuntimeError("generate() before load()")
        require_length(self._config, max(len(prompt.ids) - prompt.begun for prompt in prompts) + sampling.max_tokens)
        made: dict[Place, Completion] = {}
        total = sum(len(prompt.seeds) for prompt in prompts)
        for chosen in self._batches(prompts, sampling.max_tokens):
            for finished in self._run(prompts, chosen, sampling, stop_ids):
                made |= finished
                if progress is not None:
                    progress(len(made), total)
        return [[made[number, row] for row in range(len(prompt.seeds))] for number, prompt in enumerate(prompts)]

    def _batches(self, prompts: Sequence[Prompt], steps: int) -> Iterator[list[int]]:
        """Numbers of prompts that are equally long, as many at a time as the cache may hold."""
        by_length: dict[int, list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            by_length[len(prompt.ids)].append(number)
        for length, numbers in sorted(by_length.items()):
            batch: list[int] = []
            rows = 0
            for number in numbers:
                size = len(prompts[number].seeds)
                if batch and (rows + size) * (length + steps) > self._budget:
                    yield batch
                    batch, rows = [], 0
                batch.append(number)
                rows += size
            yield batch

    def _run(
        self, prompts: Sequence[Prompt], chosen: Sequence[int], sampling: Sampling, stop_ids: Sequence[int]
    ) -> Iterator[dict[Place, Completion]]:
        """Yields completions as they end."""
        places = [(number, row) for number in chosen for row in range(len(prompts[number].seeds))]
        stops = torch.tensor(list(stop_ids))
        ids = torch.tensor([list(prompts[number].ids) for number in chosen], device=self._device)
        cache = DynamicCache(config=self._module.config)
        logits = self._step(ids, cache)
        repeats = torch.tensor([len(prompts[number].seeds) for number in chosen], device=self._device)
        owners = torch.arange(len(chosen), device=self._device).repeat_interleave(repeats)
        cache.batch_select_indices(owners)
        logits = logits[owners]
        noise = Noise([prompts[number].seeds[row] for number, row in places], logits.shape[-1])
        begun = torch.tensor([prompts[number].begun for number, _ in places])
        tokens: list[list[int]] = [[] for _ in places]
        logprobs: list[list[float]] = [[] for _ in places]
        active = torch.arange(len(places))
        for t in range(sampling.max_tokens):
            drawn, said = (part.cpu() for part in sample(logits, noise.at(active, t + begun[active]), sampling))
            for row, token, value in zip(active.tolist(), drawn.tolist(), said.tolist(), strict=True):
                tokens[row].append(token)
                logprobs[row].append(value)
            stopped = torch.isin(drawn, stops)
            ended = stopped | (t + 1 + begun[active] == sampling.max_tokens)
            yield {
                places[row]: Completion(tokens[row], logprobs[row], "stop" if stop else "length")
                for row, stop in zip(active[ended].tolist(), stopped[ended].tolist(), strict=True)
            }
            kept = (~ended).nonzero()[:, 0]
            if not len(kept):
                return
            active = active[kept]
            cache.batch_select_indices(kept.to(self._device))
            logits = self._step(drawn[kept, None].to(self._device), cache)

    def _step(self, ids: Tensor, cache: Any) -> Tensor:
        """The logits (N, V) behind the last of ids (N, L), of which the cache takes the keys and values."""
        logits = self._module(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        return logits[:, -1]  # type: ignore[no-any-return]

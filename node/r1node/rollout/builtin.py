"""The built-in engine: group-wise generation with `Decoder`, on CPU or GPU, without a second environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from r1net.protocol.job import Sampling
from r1node.rollout.decoder import Cache, Decoder
from r1node.rollout.engine import Completion, Progress, Prompt
from r1node.rollout.sampler import sample, uniforms

HEAD_CHUNK = 128
"""Rows whose logits exist at one time: (128, V) float32 is 25 MB for a vocabulary of 49,152."""

COMPACT_BELOW = 0.75
"""Rows leave the batch once this share of it would remain: moving the cache costs about one step."""


class BuiltinEngine:
    """Implements `RolloutEngine`. `token_budget` bounds rows × (prompt + completion) decoded at a time."""

    def __init__(
        self, config: Any, dtype: torch.dtype = torch.bfloat16, device: str = "cpu", token_budget: int = 65536
    ) -> None:
        self._config, self._dtype, self._device, self._budget = config, dtype, device, token_budget
        self._decoder: Decoder | None = None

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See `RolloutEngine.load`."""
        self._decoder = None  # the old copy goes before the new one comes
        self._decoder = Decoder(self._config, weights, self._dtype, self._device)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """See `RolloutEngine.generate`. All prompts must ask for the same number of completions."""
        if self._decoder is None:
            raise RuntimeError("generate() before load()")
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
        total = sum(len(prompt.seeds) for prompt in prompts)
        answers: list[list[Completion]] = [[] for _ in prompts]
        done = 0
        for batch in self._batches(order, prompts, sampling.max_tokens):
            chosen = [prompts[i] for i in batch]
            run = _Run(self._decoder, chosen, sampling, stop_ids)
            while run.advance():
                if progress is not None:
                    progress(done + run.finished, total)
            for index, completions in zip(batch, run.completions(), strict=True):
                answers[index] = completions
            done += sum(len(prompt.seeds) for prompt in chosen)
        return answers

    def _batches(self, order: list[int], prompts: Sequence[Prompt], max_tokens: int) -> list[list[int]]:
        """Prompts of similar length together, each batch within the token budget."""
        batches: list[list[int]] = []
        for index in order:
            cost = len(prompts[index].ids) + len(prompts[index].seeds) * max_tokens
            if batches and (len(batches[-1]) + 1) * cost <= self._budget:
                batches[-1].append(index)
            else:
                batches.append([index])
        return batches


class _Run:
    """One batch of groups from prefill to the last token. Tables are (B, G); `alive` ones shrink as rows finish."""

    def __init__(
        self, decoder: Decoder, prompts: Sequence[Prompt], sampling: Sampling, stop_ids: Sequence[int]
    ) -> None:
        self._decoder, self._sampling = decoder, sampling
        self._stop = torch.tensor(list(stop_ids))
        groups, rows = len(prompts), len(prompts[0].seeds)
        if any(len(prompt.seeds) != rows for prompt in prompts):
            raise ValueError("groups of different size in one batch")
        steps = sampling.max_tokens
        self._u = uniforms([seed for prompt in prompts for seed in prompt.seeds], steps)
        self._tokens = torch.zeros(groups * rows, steps, dtype=torch.long)
        self._logprobs = torch.zeros(groups * rows, steps)
        self._lengths = torch.zeros(groups * rows, dtype=torch.long)
        self._stopped = torch.zeros(groups * rows, dtype=torch.bool)
        self._shape = (groups, rows)
        self._t = 0
        self._cache = Cache()
        self._alive = torch.arange(groups * rows).view(groups, rows)

        lengths = torch.tensor([len(prompt.ids) for prompt in prompts])
        ids = torch.zeros(groups, int(lengths.max()), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.ids)] = torch.tensor(list(prompt.ids))
        device = decoder.device
        hidden = decoder.prefill(ids.to(device), lengths.to(device), self._cache)
        decoder.allocate(groups, rows, steps, self._cache)
        padding = torch.arange(ids.shape[1])[None] >= lengths[:, None]
        mask = torch.zeros(padding.shape, dtype=decoder.dtype).masked_fill(padding, float("-inf"))
        self._mask = mask[:, None, None].to(device)
        self._prompt_lengths = lengths
        self._hidden = hidden.repeat_interleave(rows, 0)

    @property
    def finished(self) -> int:
        """Sequences that are complete."""
        return int(self._stopped.sum())

    def advance(self) -> bool:
        """Sample one token for every unfinished row. False when all are done."""
        rows = self._alive.reshape(-1)
        tokens, logprobs = self._sample(rows)
        active = ~self._stopped[rows]
        written = rows[active]
        self._tokens[written, self._t] = tokens[active]
        self._logprobs[written, self._t] = logprobs[active]
        self._lengths[written] = self._t + 1
        self._stopped[rows] |= torch.isin(tokens, self._stop)
        self._t += 1
        if self._t == self._sampling.max_tokens or bool(self._stopped[rows].all()):
            return False
        tokens = tokens.view(self._alive.shape)
        kept = self._compact()
        if kept is not None:
            groups, order = kept
            tokens = tokens[groups[:, None], order]
        positions = self._prompt_lengths[:, None].expand_as(tokens) + self._t - 1
        device = self._decoder.device
        self._hidden = self._decoder.step(tokens.to(device), positions.to(device), self._mask, self._t - 1, self._cache)
        return True

    def _sample(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for chunk in torch.arange(len(rows)).split(HEAD_CHUNK):
            logits = self._decoder.logits(self._hidden[chunk.to(self._hidden.device)])
            parts.append(sample(logits, self._u[rows[chunk], self._t], self._sampling))
        return torch.cat([p[0] for p in parts]).cpu(), torch.cat([p[1] for p in parts]).cpu()

    def _compact(self) -> tuple[Tensor, Tensor] | None:
        """Drop finished rows when enough of them are finished: whole groups, and spare rows of the others."""
        stopped = self._stopped[self._alive]
        groups = (~stopped).any(1).nonzero()[:, 0]
        width = int((~stopped).sum(1).max())
        if len(groups) * width > COMPACT_BELOW * self._alive.numel():
            return None
        order = stopped[groups].to(torch.int8).argsort(dim=1, stable=True)[:, :width]
        device = self._decoder.device
        self._cache.select(groups.to(device), order.to(device))
        self._alive = self._alive[groups[:, None], order]
        self._mask = self._mask[groups.to(device)]
        self._prompt_lengths = self._prompt_lengths[groups]
        return groups, order

    def completions(self) -> list[list[Completion]]:
        """The finished groups."""
        made = []
        for row in range(self._tokens.shape[0]):
            length = int(self._lengths[row])
            made.append(
                Completion(
                    token_ids=self._tokens[row, :length].tolist(),
                    logprobs=self._logprobs[row, :length].tolist(),
                    finish_reason="stop" if bool(self._stopped[row]) else "length",
                )
            )
        groups, rows = self._shape
        return [made[g * rows : (g + 1) * rows] for g in range(groups)]

"""The built-in engine: continuous batches of `Decoder` steps, on CPU or GPU, without a second environment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from r1net.protocol.job import Sampling
from r1node.kernels.rows import Rows
from r1node.rollout.decoder import Cache, Decoder
from r1node.rollout.engine import Completion, Progress, Prompt
from r1node.rollout.noise import Noise
from r1node.rollout.sampler import sample

HEAD_CHUNK = 512
"""Rows whose logits exist at one time: (512, V) bfloat16 is 50 MB for a vocabulary of 49,152."""

REFILL = 4
"""New groups come when 1/REFILL of the rows are free: a prefill costs about as much as a step."""


class BuiltinEngine:
    """Implements `RolloutEngine`. `token_budget` bounds the key-value cache, in tokens of prompts and completions."""

    def __init__(
        self, config: Any, dtype: torch.dtype = torch.bfloat16, device: str = "cpu", token_budget: int = 65536
    ) -> None:
        self._config, self._dtype, self._device, self._budget = config, dtype, device, token_budget
        self._decoder: Decoder | None = None

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """See `RolloutEngine.load`."""
        self._decoder = None  # the old copy goes before the new one comes
        self._decoder = Decoder(self._config, weights, self._dtype, self._device)

    def unload(self) -> None:
        """See `RolloutEngine.unload`."""
        self._decoder = None

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """See `RolloutEngine.generate`."""
        if self._decoder is None:
            raise RuntimeError("generate() before load()")
        run = _Run(self._decoder, prompts, sampling, stop_ids, self._budget)
        while run.advance():
            if progress is not None:
                progress(run.finished, run.total)
        return run.completions()


class _Run:
    """All groups from prefill to the last token. Sequences are numbered through; `_active` are those in step."""

    def __init__(
        self, decoder: Decoder, prompts: Sequence[Prompt], sampling: Sampling, stop_ids: Sequence[int], budget: int
    ) -> None:
        self._decoder, self._prompts, self._sampling = decoder, prompts, sampling
        self._stop = torch.tensor(list(stop_ids), dtype=torch.long)
        seeds = [seed for prompt in prompts for seed in prompt.seeds]
        self.total, self.finished = len(seeds), 0
        steps = sampling.max_tokens - min(prompt.begun for prompt in prompts)
        self._noise = Noise(seeds, len(decoder.embedding))
        self._begun = torch.tensor([prompt.begun for prompt in prompts for _ in prompt.seeds])
        self._tokens = torch.zeros(self.total, steps, dtype=torch.long)
        self._logprobs = torch.zeros(self.total, steps)
        self._lengths = torch.zeros(self.total, dtype=torch.long)
        self._stopped = torch.zeros(self.total, dtype=torch.bool)

        self._waiting = deque(range(len(prompts)))
        width, group = max(len(prompt.ids) for prompt in prompts), max(len(prompt.seeds) for prompt in prompts)
        decoder.require_room(max(len(prompt.ids) - prompt.begun for prompt in prompts) + sampling.max_tokens)
        at_once = max(1, min(len(prompts), budget // (width + group * steps)))
        self._room = at_once * group
        self._cache = Cache(decoder, at_once, width, self._room, steps)
        self._free, self._free_prompts = deque(range(self._room)), deque(range(at_once))
        self._left = [0] * at_once  # unfinished sequences of the prompt in each slot
        self._active = torch.zeros(0, dtype=torch.long)
        self._rows = Rows(*(torch.zeros(0, dtype=torch.long) for _ in range(3)))
        self._hidden = torch.empty(0, decoder.embedding.shape[1], dtype=decoder.dtype, device=decoder.device)

    def advance(self) -> bool:
        """Sample one token for every sequence in step. False when all are done."""
        self._admit()
        if len(self._active) == 0:
            return False
        tokens, logprobs = self._sample()
        t = self._rows.t
        self._tokens[self._active, t] = tokens
        self._logprobs[self._active, t] = logprobs
        self._lengths[self._active] = t + 1
        stopped = torch.isin(tokens, self._stop)
        self._stopped[self._active] = stopped
        kept = self._release(stopped | (t + 1 + self._begun[self._active] == self._sampling.max_tokens))
        if len(kept):
            device = self._decoder.device
            rows = Rows(*(part.to(device) for part in vars(self._rows).values()))
            self._hidden = self._decoder.step(tokens[kept].to(device), rows, self._cache)
            self._rows = Rows(self._rows.slots, self._rows.prompts, self._rows.t + 1)
        else:
            self._hidden = self._hidden[:0]
        return True

    def _admit(self) -> None:
        """Prefill waiting prompts into free slots, when enough are free for it to be worth a pass."""
        if not self._waiting or (len(self._free) * REFILL < self._room and len(self._active)):
            return
        chosen, places = [], []
        room = len(self._free)
        while self._waiting and self._free_prompts and len(self._prompts[self._waiting[0]].seeds) <= room:
            chosen.append(self._waiting.popleft())
            places.append(self._free_prompts.popleft())
            room -= len(self._prompts[chosen[-1]].seeds)
        if chosen:
            self._start(chosen, places)

    def _start(self, chosen: Sequence[int], places: Sequence[int]) -> None:
        prompts, device = [self._prompts[number] for number in chosen], self._decoder.device
        lengths = torch.tensor([len(prompt.ids) for prompt in prompts])
        ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt.ids)] = torch.tensor(list(prompt.ids))
        hidden = self._decoder.prefill(ids.to(device), lengths.to(device), self._cache, torch.tensor(places).to(device))
        sizes = [len(prompt.seeds) for prompt in prompts]
        for place, size in zip(places, sizes, strict=True):
            self._left[place] = size
        first = [sum(len(prompt.seeds) for prompt in self._prompts[:number]) for number in chosen]
        fresh = torch.cat([torch.arange(start, start + size) for start, size in zip(first, sizes, strict=True)])
        repeats = torch.tensor(sizes)
        slots = torch.tensor([self._free.popleft() for _ in range(len(fresh))])
        self._active = torch.cat((self._active, fresh))
        self._rows = Rows(
            slots=torch.cat((self._rows.slots, slots)),
            prompts=torch.cat((self._rows.prompts, torch.tensor(places).repeat_interleave(repeats))),
            t=torch.cat((self._rows.t, torch.zeros(len(fresh), dtype=torch.long))),
        )
        self._hidden = torch.cat((self._hidden, hidden.repeat_interleave(repeats.to(device), 0)))

    def _sample(self) -> tuple[Tensor, Tensor]:
        parts = []
        for chunk in torch.arange(len(self._active)).split(HEAD_CHUNK):
            logits = self._decoder.logits(self._hidden[chunk.to(self._hidden.device)])
            active = self._active[chunk]
            noise = self._noise.at(active, self._rows.t[chunk] + self._begun[active])
            parts.append(sample(logits, noise, self._sampling, self._decoder.ops))
        return torch.cat([part[0] for part in parts]).cpu(), torch.cat([part[1] for part in parts]).cpu()

    def _release(self, ended: Tensor) -> Tensor:
        """Take `ended` (N) sequences out of the batch; their slots are free. Returns the places of the others."""
        for row in ended.nonzero()[:, 0].tolist():
            prompt = int(self._rows.prompts[row])
            self._free.append(int(self._rows.slots[row]))
            self._noise.release(int(self._active[row]))
            self._left[prompt] -= 1
            if self._left[prompt] == 0:
                self._free_prompts.append(prompt)
        kept = (~ended).nonzero()[:, 0]
        self.finished += len(ended) - len(kept)
        self._active = self._active[kept]
        self._rows = Rows(*(part[kept] for part in vars(self._rows).values()))
        return kept

    def completions(self) -> list[list[Completion]]:
        """Every group, in the prompts' order."""
        made = iter(
            Completion(
                token_ids=self._tokens[row, :length].tolist(),
                logprobs=self._logprobs[row, :length].tolist(),
                finish_reason="stop" if bool(self._stopped[row]) else "length",
            )
            for row, length in enumerate(self._lengths.tolist())
        )
        return [[next(made) for _ in prompt.seeds] for prompt in self._prompts]

"""The sampler that takes the place of vLLM's: each row is drawn by the node's rule from its request's own seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from vllm.v1.outputs import LogprobsTensors, SamplerOutput

from .rule import Sampling, load_rule

SEED = "r1_seed"
BEGUN = "r1_begun"
SAMPLING = "r1_sampling"
"""Keys of a request's `extra_args`. vLLM's own fields are not used: it rounds small temperatures, and its seeds make
a generator for each request that the rule has no use for."""

SPARE = 512
"""Streams of finished requests that may lie about."""

CHUNK = 128
"""Rows whose distribution exists in float64 at one time."""


class SeededSampler(nn.Module):
    """Stands in for `vllm.v1.sample.sampler.Sampler` in one model runner, which holds each row's request."""

    def __init__(self, runner: Any, stock: Any) -> None:
        super().__init__()
        self._runner, self._stock = runner, stock
        self._rule = load_rule()
        self._streams: dict[str, Any] = {}

    def forward(self, logits: Tensor, sampling_metadata: Any, **options: Any) -> Any:
        """One token and its log-probability for each row of (N, V) logits. Rows that are no request of ours (warm-up)
        go to vLLM's sampler."""
        requests = [self._runner.requests.get(name) for name in self._runner.input_batch.req_ids]
        if len(requests) != len(logits) or not all(map(_is_ours, requests)):
            return self._stock(logits=logits, sampling_metadata=sampling_metadata, **options)
        if len(self._streams) > 2 * len(self._runner.requests) + SPARE:
            self._streams = {name: s for name, s in self._streams.items() if name in self._runner.requests}
        tokens = torch.empty(len(logits), dtype=torch.long, device=logits.device)
        logprobs = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
        for sampling, rows in _by_sampling(requests).items():
            for chunk in torch.tensor(rows).split(CHUNK):
                part = logits if len(chunk) == len(logits) else logits[chunk.to(logits.device)]
                noise = np.stack([self._noise(requests[row], logits.shape[-1]) for row in chunk.tolist()])
                drawn = self._rule.sample(part.float(), torch.from_numpy(noise), sampling)
                tokens[chunk], logprobs[chunk] = drawn[0], drawn[1]
        chosen = tokens.to(torch.int32)[:, None]
        ranks = torch.zeros_like(tokens)  # nobody asks for them
        return SamplerOutput(
            sampled_token_ids=chosen, logprobs_tensors=LogprobsTensors(chosen, logprobs[:, None], ranks)
        )

    def _noise(self, request: Any, vocabulary: int) -> np.ndarray:
        """By the number of tokens made so far: that also holds for a request that was preempted and begun anew."""
        stream = self._streams.get(request.req_id)
        if stream is None:
            seed = request.sampling_params.extra_args[SEED]
            stream = self._streams[request.req_id] = self._rule.stream(seed, vocabulary)
        row: np.ndarray = stream.at(request.sampling_params.extra_args[BEGUN] + len(request.output_token_ids))
        return row


def _is_ours(request: Any) -> bool:
    return request is not None and SEED in (request.sampling_params.extra_args or {})


def _by_sampling(requests: list[Any]) -> dict[Sampling, list[int]]:
    rows: dict[Sampling, list[int]] = {}
    for row, request in enumerate(requests):
        rows.setdefault(Sampling(*request.sampling_params.extra_args[SAMPLING]), []).append(row)
    return rows

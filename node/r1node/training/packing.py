"""Groups as rows: the prompt once, then its completions behind one another, each seeing the prompt and itself.

A group of G completions of length T costs P + G·T tokens of a forward pass, not G·(P + T). The attention mask makes
the completions invisible to one another, and position ids restart after the prompt for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One completion with what its loss needs."""

    completion_ids: Sequence[int]
    sampler_logprobs: Sequence[float]
    advantage: float


@dataclass(frozen=True)
class Group:
    """One prompt with its completions (any number)."""

    prompt_ids: Sequence[int]
    samples: Sequence[Sample]

    @property
    def width(self) -> int:
        """Tokens of the packed row."""
        return len(self.prompt_ids) + sum(len(sample.completion_ids) for sample in self.samples)

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return self.width - len(self.prompt_ids)


@dataclass(frozen=True, kw_only=True)
class Completions:
    """What the loss needs of a micro-batch: N completions of at most T tokens, `mask_NT` 1 on real ones.

    `source_NT`: flat index of the position that predicts each completion token; 0 on padding.
    """

    source_NT: Tensor
    target_NT: Tensor
    sampler_NT: Tensor
    mask_NT: Tensor
    advantages_N: Tensor
    samples: Sequence[Sample]


@dataclass(frozen=True, kw_only=True)
class Batch(Completions):
    """Packed rows: B rows, L tokens. Positions are numbered row · L + column."""

    ids_BL: Tensor
    positions_BL: Tensor
    attention_B1LL: Tensor


def micro_batches(groups: Sequence[Group], token_budget: int) -> Iterator[list[Group]]:
    """Groups of similar width together, each batch of at most `token_budget` padded tokens (or one group)."""
    batch: list[Group] = []
    for group in sorted(split_wide(groups, token_budget), key=lambda g: g.width):
        if batch and (len(batch) + 1) * group.width > token_budget:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def split_wide(groups: Sequence[Group], token_budget: int) -> Iterator[Group]:
    """Groups wider than the budget in several, each with the prompt again."""
    for group in groups:
        part: list[Sample] = []
        width = len(group.prompt_ids)
        for sample in group.samples:
            if part and width + len(sample.completion_ids) > token_budget:
                yield Group(group.prompt_ids, part)
                part, width = [], len(group.prompt_ids)
            part.append(sample)
            width += len(sample.completion_ids)
        if part:
            yield Group(group.prompt_ids, part)


def pack(groups: Sequence[Group], device: str = "cpu") -> Batch:
    """Lay groups out as rows."""
    rows, width = len(groups), max(group.width for group in groups)
    samples = [sample for group in groups for sample in group.samples]
    count, longest = len(samples), max(len(sample.completion_ids) for sample in samples)
    ids = torch.zeros(rows, width, dtype=torch.long)
    positions = torch.zeros(rows, width, dtype=torch.long)
    segments = torch.full((rows, width), -1)  # 0 = prompt, 1.. = completion, -1 = padding
    source = torch.zeros(count, longest, dtype=torch.long)
    target = torch.zeros(count, longest, dtype=torch.long)
    sampler = torch.zeros(count, longest)
    mask = torch.zeros(count, longest)
    number = 0
    for row, group in enumerate(groups):
        prompt = len(group.prompt_ids)
        ids[row, :prompt] = torch.tensor(list(group.prompt_ids))
        positions[row, :prompt] = torch.arange(prompt)
        segments[row, :prompt] = 0
        start = prompt
        for segment, sample in enumerate(group.samples, 1):
            length = len(sample.completion_ids)
            end = start + length
            tokens = torch.tensor(list(sample.completion_ids))
            ids[row, start:end] = tokens
            positions[row, start:end] = torch.arange(prompt, prompt + length)
            segments[row, start:end] = segment
            source[number, 0] = row * width + prompt - 1
            source[number, 1:length] = torch.arange(row * width + start, row * width + end - 1)
            target[number, :length] = tokens
            sampler[number, :length] = torch.tensor(list(sample.sampler_logprobs))
            mask[number, :length] = 1.0
            start, number = end, number + 1
    tensors = {
        "ids_BL": ids,
        "positions_BL": positions,
        "attention_B1LL": _attention(segments),
        "source_NT": source,
        "target_NT": target,
        "sampler_NT": sampler,
        "mask_NT": mask,
        "advantages_N": torch.tensor([sample.advantage for sample in samples]),
    }
    return Batch(**{name: tensor.to(device) for name, tensor in tensors.items()}, samples=samples)


def _attention(segments_BL: Tensor) -> Tensor:
    """(B, 1, L, L) bool, True = may attend: causal, to the prompt and to the own completion; padding to itself."""
    width = segments_BL.shape[1]
    query, key = segments_BL[:, :, None], segments_BL[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    visible = causal & ((key == 0) & (query >= 0) | (key == query))
    return visible[:, None]

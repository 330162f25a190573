"""What is learnt from: groups of completions, and what a loss needs of a micro-batch of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from r1net.protocol.turns import Span, sampled


@dataclass(frozen=True)
class Sample:
    """One completion with what its loss needs."""

    completion_ids: Sequence[int]
    sampler_logprobs: Sequence[float]
    advantage: float
    given: tuple[Span, ...] = ()

    @property
    def sampled(self) -> list[int]:
        """The places that the policy sampled; what a tool answered teaches nothing."""
        return sampled(len(self.completion_ids), self.given)


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
        """Completion tokens that were sampled."""
        return sum(len(sample.sampled) for sample in self.samples)


@dataclass(frozen=True, kw_only=True)
class Completions:
    """What the loss needs of a micro-batch: N completions of at most T tokens, `mask_NT` 1 on those that were sampled.

    `source_NT`: flat index of the position that predicts each completion token; 0 on padding.
    """

    source_NT: Tensor
    target_NT: Tensor
    sampler_NT: Tensor
    mask_NT: Tensor
    advantages_N: Tensor
    samples: Sequence[Sample]


def loss_tensors(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """What `Completions` holds of the samples themselves, by name."""
    targets = [torch.tensor(list(sample.completion_ids)) for sample in samples]
    return {
        "target_NT": pad_sequence(targets, batch_first=True),
        "sampler_NT": pad_sequence([torch.tensor(list(s.sampler_logprobs)) for s in samples], batch_first=True),
        "mask_NT": pad_sequence([_mask(sample) for sample in samples], batch_first=True),
        "advantages_N": torch.tensor([sample.advantage for sample in samples]),
    }


def _mask(sample: Sample) -> Tensor:
    mask = torch.zeros(len(sample.completion_ids))
    mask[sample.sampled] = 1
    return mask


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

"""Groups without padding: the tokens of all prompts and completions in one flat run, each prompt once for its group.

A group of G completions of length T costs P + G·(T - 1) tokens of a forward pass, not G·(P + T): the last token of a
completion is only predicted. Linear layers see the flat run; attention alone lays sequences side by side.

Shape letters: M tokens, B prompts of at most P tokens, N completions, T tokens of the longest completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from r1node.training.packing import Completions, Group, loss_tensors, split_wide


@dataclass(frozen=True, kw_only=True)
class Ragged(Completions):
    """A flat run of M tokens. Index tables hold places in it, and M where there is no token.

    `prompts_BP`, `inputs_NT`: where each prompt's tokens and each completion's, but its last, lie (T - 1 columns).
    `lengths_B`: the prompts' lengths. `owner_N`: each completion's prompt.
    """

    ids_M: Tensor
    positions_M: Tensor
    prompts_BP: Tensor
    lengths_B: Tensor
    inputs_NT: Tensor
    owner_N: Tensor


def ragged_batches(groups: Sequence[Group], token_budget: int) -> Iterator[list[Group]]:
    """Groups of similar width together, each batch of at most `token_budget` tokens (or one group)."""
    batch: list[Group] = []
    width = 0
    for group in sorted(split_wide(groups, token_budget), key=lambda group: group.width):
        if batch and width + group.width > token_budget:
            yield batch
            batch, width = [], 0
        batch.append(group)
        width += group.width
    if batch:
        yield batch


def lay_out(groups: Sequence[Group], device: str = "cpu") -> Ragged:
    """Prompts first, then the completions, each without its last token."""
    samples = [(number, sample) for number, group in enumerate(groups) for sample in group.samples]
    prompts = [len(group.prompt_ids) for group in groups]
    inputs = [len(sample.completion_ids) - 1 for _, sample in samples]
    starts = list(accumulate([*prompts, *inputs], initial=0))
    total, first = starts[-1], len(groups)
    ids = [*(group.prompt_ids for group in groups), *(sample.completion_ids[:-1] for _, sample in samples)]
    before = [*([0] * first), *(prompts[owner] for owner, _ in samples)]
    positions = [torch.arange(len(part)) + offset for part, offset in zip(ids, before, strict=True)]
    places = [torch.arange(start, start + len(part)) for start, part in zip(starts, ids, strict=False)]
    last_of_prompt = [starts[owner] + prompts[owner] - 1 for owner, _ in samples]
    sources = [
        torch.cat((torch.tensor([last]), place)) for last, place in zip(last_of_prompt, places[first:], strict=True)
    ]
    own = [sample for _, sample in samples]
    tensors = {
        "ids_M": torch.tensor([token for part in ids for token in part]),
        "positions_M": torch.cat(positions),
        "prompts_BP": pad_sequence(places[:first], batch_first=True, padding_value=total),
        "lengths_B": torch.tensor(prompts),
        "inputs_NT": pad_sequence(places[first:], batch_first=True, padding_value=total),
        "owner_N": torch.tensor([owner for owner, _ in samples]),
        "source_NT": pad_sequence(sources, batch_first=True),
        **loss_tensors(own),
    }
    moved = {name: tensor.to(device) for name, tensor in tensors.items()}
    return Ragged(**moved, samples=own)

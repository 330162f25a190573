"""Completions as rows, each behind its own prompt, as any model takes them: padded on the right, where causal models of
every kind leave what comes before as it is. Costs G·(P + T) tokens where `ragged.py` costs P + G·(T - 1).

Shape letters: N rows, L tokens of the longest, T tokens of the longest completion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from r1node.training.packing import Completions, Group, Sample, loss_tensors

Row = tuple[Sequence[int], Sample]
"""A prompt's token ids, and one completion of it."""


@dataclass(frozen=True, kw_only=True)
class Rows(Completions):
    """N rows of at most L tokens. Places are numbered row · L + column. `visible_NL` is 1 on tokens, 0 on padding."""

    ids_NL: Tensor
    visible_NL: Tensor


def row_batches(groups: Sequence[Group], token_budget: int) -> Iterator[list[Row]]:
    """Completions of similar length together, each batch of at most `token_budget` padded tokens (or one row)."""
    rows = [(group.prompt_ids, sample) for group in groups for sample in group.samples]
    batch: list[Row] = []
    for row in sorted(rows, key=_width):
        if batch and (len(batch) + 1) * _width(row) > token_budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _width(row: Row) -> int:
    return len(row[0]) + len(row[1].completion_ids)


def lay_rows(rows: Sequence[Row], device: str = "cpu") -> Rows:
    """One row for each completion."""
    ids = pad_sequence([torch.tensor([*prompt, *sample.completion_ids]) for prompt, sample in rows], batch_first=True)
    lengths = torch.tensor([_width(row) for row in rows])
    samples = [sample for _, sample in rows]
    first = [number * ids.shape[1] + len(prompt) - 1 for number, (prompt, _) in enumerate(rows)]
    sources = [start + torch.arange(len(s.completion_ids)) for start, s in zip(first, samples, strict=True)]
    tensors = {
        "ids_NL": ids,
        "visible_NL": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
        "source_NT": pad_sequence(sources, batch_first=True),
        **loss_tensors(samples),
    }
    return Rows(**{name: tensor.to(device) for name, tensor in tensors.items()}, samples=samples)


def row_logits(module: torch.nn.Module, batch: Rows) -> Tensor:
    """What the model itself, with its own masks and head, predicts the completions' tokens from: (tokens, V). Its head
    runs at the places where some row has a completion, not at those of the prompts."""
    wanted, length = batch.source_NT[batch.mask_NT.bool()], batch.ids_NL.shape[1]
    kept, place = torch.unique(wanted % length, return_inverse=True)
    logits = module(
        input_ids=batch.ids_NL, attention_mask=batch.visible_NL, use_cache=False, logits_to_keep=kept
    ).logits
    return logits[wanted // length, place]  # type: ignore[no-any-return]

"""A policy as the trainer sees it, and the one that runs any architecture through transformers' own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor

from r1node.kernels.train_ops import train_ops
from r1node.training.head import Head
from r1node.training.packing import Group, micro_batches, pack


class TrainingModel(Protocol):
    """Hidden states forward, gradients backward, in micro-batches of its own layout. Used for one round's gradient."""

    head: Head

    def batches(self, groups: Sequence[Group], token_budget: int) -> Iterator[Any]:
        """Micro-batches (`Completions`) for `forward`."""
        ...

    def forward(self, batch: Any) -> tuple[Tensor, Any]:
        """Normed states (tokens to predict, E) in the products' precision, in the order of the mask's ones, and what
        `backward` needs."""
        ...

    def backward(self, tape: Any, g: Tensor) -> None:
        """Add the gradients for g (tokens to predict, E) float32, that by what `forward` returned."""
        ...


class TransformersModel:
    """Implements `TrainingModel` with packed rows, an attention mask and autograd."""

    def __init__(
        self,
        base: Any,
        dtype: torch.dtype,
        device: str,
        temperature: float,
        config: Any,
        active: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._base, self._dtype, self._device, self._active = base, dtype, device, active
        output = base.lm_head.weight
        ops = train_ops(device, dtype, config.hidden_size // config.num_attention_heads)
        self.head = Head(output.detach().to(dtype), output.grad, temperature, ops)

    def batches(self, groups: Sequence[Group], token_budget: int) -> Iterator[Any]:
        """See `TrainingModel.batches`."""
        return (pack(batch, self._device) for batch in micro_batches(groups, token_budget))

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """See `TrainingModel.forward`."""
        cast = torch.autocast(self._device.split(":")[0], dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16)
        with torch.enable_grad(), cast, self._active():
            hidden = packed_hidden(self._base, batch.ids_BL, batch.positions_BL, batch.attention_B1LL)
            chosen = hidden.flatten(0, 1)[batch.source_NT[batch.mask_NT.bool()]]
        return chosen.detach().to(self._dtype), chosen

    def backward(self, tape: Tensor, g: Tensor) -> None:
        """See `TrainingModel.backward`."""
        tape.backward(g.to(tape.dtype))


def packed_hidden(base: Any, ids_BL: Tensor, positions_BL: Tensor, attention_B1LL: Tensor) -> Tensor:
    """Final hidden states (B, L, E) of packed rows."""
    output = base.model(input_ids=ids_BL, position_ids=positions_BL, attention_mask=attention_B1LL, use_cache=False)
    return output.last_hidden_state  # type: ignore[no-any-return]

"""A policy as the trainer sees it, and the one that runs any architecture through transformers' own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from r1node.kernels.train_ops import TorchTrainOps
from r1node.training.head import Head, LogitsHead
from r1node.training.packing import Group
from r1node.training.rows import lay_rows, row_batches, row_logits
from r1node.training.source import Source


class TrainingModel(Protocol):
    """States forward, gradients backward, in micro-batches of its own layout. Used for one round's gradient."""

    @property
    def head(self) -> Head:
        """What makes log-probabilities of what `forward` returns."""
        ...

    def batches(self, groups: Sequence[Group], token_budget: int) -> Iterator[Any]:
        """Micro-batches (`Completions`) for `forward`."""
        ...

    def forward(self, batch: Any) -> tuple[Tensor, Any]:
        """What `head` takes, (tokens to predict, E), in the order of the mask's ones, and what `backward` needs."""
        ...

    def backward(self, tape: Any, g: Tensor) -> None:
        """Add the gradients for g (tokens to predict, E) float32, that by what `forward` returned."""
        ...


class TransformersModel:
    """Implements `TrainingModel` with rows and autograd: the model's own masks, its own head, whatever they do.

    `module` holds the source's weights, and is used up: gradients leave it as soon as they are whole.
    """

    def __init__(self, module: Any, source: Source, device: str, temperature: float) -> None:
        self._module, self._device = module, device
        self.head: Head = LogitsHead(temperature, TorchTrainOps())
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(source.trains(name))
            if source.trains(name):
                parameter.register_post_accumulate_grad_hook(_collect(source, name))

    def batches(self, groups: Sequence[Group], token_budget: int) -> Iterator[Any]:
        """See `TrainingModel.batches`."""
        return (lay_rows(batch, self._device) for batch in row_batches(groups, token_budget))

    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """See `TrainingModel.forward`: logits (tokens to predict, V), in the products' precision."""
        with torch.enable_grad():
            logits = row_logits(self._module, batch)
        return logits.detach(), logits

    def backward(self, tape: Tensor, g: Tensor) -> None:
        """See `TrainingModel.backward`."""
        tape.backward(g.to(tape.dtype))


def _collect(source: Source, name: str) -> Callable[[Tensor], None]:
    def take(parameter: Tensor) -> None:
        assert parameter.grad is not None
        source.take_up(name, parameter.grad)
        parameter.grad = None

    return take

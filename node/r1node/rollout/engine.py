"""The one interface of rollout engines: prompts and seeds in, groups of completions out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from r1net.protocol.job import Sampling
from r1net.protocol.trace import FinishReason
from r1net.protocol.turns import Span


@dataclass(frozen=True)
class Prompt:
    """One group: a prompt, and a sampling seed for each completion wanted of it.

    `begun`: so many of the last ids are the beginning of the completion already, which goes on with the noise of its
    next place, and ends within the longest length as a whole.
    """

    ids: Sequence[int]
    seeds: Sequence[int]
    begun: int = 0


@dataclass(frozen=True)
class Completion:
    """`logprobs[t]`: nats, of the distribution that `token_ids[t]` was drawn from. Includes the stop token. The spans
    `given` were not drawn but answered by a tool; there the log-probability is 0."""

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: FinishReason
    given: tuple[Span, ...] = ()


Progress = Callable[[int, int], None]
"""Called with (finished sequences, all sequences); raising from it stops the generation."""


class RolloutEngine(Protocol):
    """What every engine can do."""

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take these weights (Hugging Face names, adapters already merged) for all further generations."""
        ...

    def unload(self) -> None:
        """Free the memory of the weights, until the next `load`."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        stop_ids: Sequence[int],
        progress: Progress | None = None,
    ) -> list[list[Completion]]:
        """One list of completions for each prompt, in the order of its seeds."""
        ...

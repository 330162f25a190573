"""The last layer: log-probabilities of chosen tokens, forward and backward, a part of the vocabulary at a time.

Forward keeps one normaliser for each position; backward makes a part's logits again and turns them into the gradient in
place: ∂ log π(y) / ∂ logits = (one-hot(y) - π) / temperature. What is to be learnt comes as one coefficient for each
position, ∂ loss / ∂ log π(y): policy gradients and cross-entropy differ in nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from r1net.errors import UsageError
from r1node.kernels.train_ops import TrainOps
from r1node.training.divergence import DivergenceKind, fold, slope

CPU_PART, GPU_PART = 4096, 32768
"""Tokens of the vocabulary whose logits exist at one time: products stay in a CPU's cache, or fill a GPU."""


@dataclass(frozen=True)
class Scores:
    """Of M positions, float32, in nats: log π(target), the entropy, and the normaliser of the logits."""

    logprobs: Tensor
    entropy: Tensor
    normalisers: Tensor


@dataclass(frozen=True)
class Teacher:
    """The other policy at the same M positions: its head, its states (M, E'), and their normalisers (M)."""

    head: Head
    hidden: Tensor
    normalisers: Tensor

    @property
    def vocabulary(self) -> int:
        """How many tokens it tells apart."""
        return self.head.vocabulary(self.hidden)

    def logprobs(self, start: int, end: int, scale: float) -> Tensor:
        """log q (M, end - start)."""
        return self.head.logits(self.hidden, start, end).float() * scale - self.normalisers[:, None]


@dataclass(frozen=True)
class Pull:
    """A divergence (M) that is part of the loss, and how much of the loss it is at each position (M)."""

    kind: DivergenceKind
    teacher: Teacher
    divergence: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Head(ABC):
    """From states (M, E) to log-probabilities, and back.

    `temperature` is the sampler's: the policy that is trained is the one that was sampled. 0 (greedy) counts as 1.
    """

    temperature: float
    ops: TrainOps

    @abstractmethod
    def vocabulary(self, hidden: Tensor) -> int:
        """How many tokens there are logits of."""

    @abstractmethod
    def logits(self, hidden: Tensor, start: int, end: int) -> Tensor:
        """Those of tokens `start` to `end`, (M, end - start), in a tensor of its own."""

    @abstractmethod
    def take_up(self, hidden: Tensor, by_logits: Tensor, start: int, by_hidden: Tensor) -> None:
        """Add what the gradient by the logits of tokens `start` and on says, to `by_hidden` and the weights' own."""

    def forward(self, hidden: Tensor, targets: Tensor) -> Scores:
        """hidden (M, E), targets (M)."""
        largest = torch.full((len(hidden),), float("-inf"), device=hidden.device)
        sums, products, chosen = (torch.zeros_like(largest) for _ in range(3))
        for start, end in self._parts(hidden):
            logits = self.logits(hidden, start, end)
            self.ops.head_fold(logits, targets, (largest, sums, products, chosen), start, self._scale)
        normalisers = largest + sums.log()
        return Scores(chosen - normalisers, normalisers - products / sums, normalisers)

    def diverge(self, hidden: Tensor, scores: Scores, teacher: Teacher, kind: DivergenceKind) -> Tensor:
        """The divergence (M) from a teacher at each position, in nats."""
        if teacher.vocabulary != self.vocabulary(hidden):
            raise UsageError(
                f"the teacher has {teacher.vocabulary} tokens, the policy {self.vocabulary(hidden)}",
                hint="distil between models that share a tokenizer",
            )
        total = torch.zeros_like(scores.normalisers)
        for start, end in self._parts(hidden):
            logp = self._logp(hidden, start, end, scores)
            total += fold(kind, logp, teacher.logprobs(start, end, self._scale))
        return total

    def backward(
        self, hidden: Tensor, targets: Tensor, scores: Scores, coefficients: Tensor, pull: Pull | None = None
    ) -> Tensor:
        """The gradient by hidden (M, E), float32; that of the weights goes where it belongs.

        `coefficients` (M): ∂ loss / ∂ log π(target). `pull`: a divergence from a teacher that is part of the loss.
        """
        by_hidden = torch.zeros(hidden.shape, device=hidden.device)
        for start, end in self._parts(hidden):
            by_logits = self.logits(hidden, start, end)
            extra = None if pull is None else self._pull(pull, hidden, start, end, scores)
            self.ops.head_slope(by_logits, targets, scores.normalisers, coefficients, start, self._scale)
            if extra is not None:
                by_logits += extra.to(by_logits.dtype)
            self.take_up(hidden, by_logits, start, by_hidden)
        return by_hidden

    def _pull(self, pull: Pull, hidden: Tensor, start: int, end: int, scores: Scores) -> Tensor:
        logq = pull.teacher.logprobs(start, end, self._scale)
        by_logits = slope(pull.kind, self._logp(hidden, start, end, scores), logq, pull.divergence)
        return by_logits.mul_((pull.shares * self._scale)[:, None])

    def _logp(self, hidden: Tensor, start: int, end: int, scores: Scores) -> Tensor:
        return self.logits(hidden, start, end).float() * self._scale - scores.normalisers[:, None]

    @property
    def _scale(self) -> float:
        return 1.0 / (self.temperature or 1.0)

    def _parts(self, hidden: Tensor) -> list[tuple[int, int]]:
        size, whole = CPU_PART if hidden.device.type == "cpu" else GPU_PART, self.vocabulary(hidden)
        return [(start, min(start + size, whole)) for start in range(0, whole, size)]


@dataclass(frozen=True)
class EmbeddingHead(Head):
    """Output embedding `weight` (V, E), and its gradient (V, E) float32 where it is trained."""

    weight: Tensor
    gradient: Tensor | None

    def vocabulary(self, hidden: Tensor) -> int:
        """See `Head.vocabulary`."""
        return len(self.weight)

    def logits(self, hidden: Tensor, start: int, end: int) -> Tensor:
        """See `Head.logits`."""
        return hidden @ self.weight[start:end].T

    def take_up(self, hidden: Tensor, by_logits: Tensor, start: int, by_hidden: Tensor) -> None:
        """See `Head.take_up`."""
        part = self.weight[start : start + by_logits.shape[1]]
        by_hidden += by_logits @ part
        if self.gradient is not None:
            self.ops.accumulate_product([self.gradient[start : start + len(part)]], by_logits, hidden)


@dataclass(frozen=True)
class LogitsHead(Head):
    """Of a model that brings its own head: the states are its logits (M, V)."""

    def vocabulary(self, hidden: Tensor) -> int:
        """See `Head.vocabulary`."""
        return hidden.shape[1]

    def logits(self, hidden: Tensor, start: int, end: int) -> Tensor:
        """See `Head.logits`."""
        return hidden[:, start:end].clone()

    def take_up(self, hidden: Tensor, by_logits: Tensor, start: int, by_hidden: Tensor) -> None:
        """See `Head.take_up`."""
        by_hidden[:, start : start + by_logits.shape[1]] += by_logits

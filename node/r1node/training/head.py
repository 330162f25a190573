"""The last layer: log-probabilities of chosen tokens, forward and backward, a part of the vocabulary at a time.

Forward keeps one normaliser for each position; backward makes a part's logits again and turns them into the gradient in
place: ∂ log π(y) / ∂ logits = (one-hot(y) - π) / temperature. What is to be learnt comes as one coefficient for each
position, ∂ loss / ∂ log π(y): policy gradients and cross-entropy differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from r1net.errors import UsageError
from r1node.kernels.train_ops import TrainOps
from r1node.training.divergence import DivergenceKind, Teacher, fold, slope

CPU_PART, GPU_PART = 4096, 32768
"""Tokens of the vocabulary whose logits exist at one time: products stay in a CPU's cache, or fill a GPU."""


@dataclass(frozen=True)
class Scores:
    """Of M positions, float32, in nats: log π(target), the entropy, and the normaliser of the logits."""

    logprobs: Tensor
    entropy: Tensor
    normalisers: Tensor


@dataclass(frozen=True)
class Pull:
    """A divergence (M) that is part of the loss, and how much of the loss it is at each position (M)."""

    kind: DivergenceKind
    teacher: Teacher
    divergence: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Head:
    """Output embedding `weight` (V, E), and its gradient (V, E) float32 where it is trained.

    `temperature` is the sampler's: the policy that is trained is the one that was sampled. 0 (greedy) counts as 1.
    """

    weight: Tensor
    gradient: Tensor | None
    temperature: float
    ops: TrainOps

    def forward(self, hidden: Tensor, targets: Tensor) -> Scores:
        """hidden (M, E), targets (M)."""
        largest = torch.full((len(hidden),), float("-inf"), device=hidden.device)
        sums, products, chosen = (torch.zeros_like(largest) for _ in range(3))
        for start, part in self._parts():
            self.ops.head_fold(hidden @ part.T, targets, (largest, sums, products, chosen), start, self._scale)
        normalisers = largest + sums.log()
        return Scores(chosen - normalisers, normalisers - products / sums, normalisers)

    def diverge(self, hidden: Tensor, scores: Scores, teacher: Teacher, kind: DivergenceKind) -> Tensor:
        """The divergence (M) from a teacher at each position, in nats."""
        if len(teacher.weight) != len(self.weight):
            raise UsageError(
                f"the teacher has {len(teacher.weight)} tokens, the policy {len(self.weight)}",
                hint="distil between models that share a tokenizer",
            )
        total = torch.zeros_like(scores.normalisers)
        for start, part in self._parts():
            total += fold(kind, self._logp(hidden, part, scores), teacher.logits(start, start + len(part), self._scale))
        return total

    def backward(
        self, hidden: Tensor, targets: Tensor, scores: Scores, coefficients: Tensor, pull: Pull | None = None
    ) -> Tensor:
        """The gradient by hidden (M, E), float32; that of the weights is added to `gradient`.

        `coefficients` (M): ∂ loss / ∂ log π(target). `pull`: a divergence from a teacher that is part of the loss.
        """
        by_hidden = torch.zeros(hidden.shape, device=hidden.device)
        for start, part in self._parts():
            by_logits = hidden @ part.T
            extra = None if pull is None else self._pull(pull, hidden, part, start, scores)
            self.ops.head_slope(by_logits, targets, scores.normalisers, coefficients, start, self._scale)
            if extra is not None:
                by_logits += extra.to(by_logits.dtype)
            by_hidden += by_logits @ part
            if self.gradient is not None:
                self.ops.accumulate_product([self.gradient[start : start + len(part)]], by_logits, hidden)
        return by_hidden

    def _pull(self, pull: Pull, hidden: Tensor, part: Tensor, start: int, scores: Scores) -> Tensor:
        logq = pull.teacher.logits(start, start + len(part), self._scale)
        by_logits = slope(pull.kind, self._logp(hidden, part, scores), logq, pull.divergence)
        return by_logits.mul_((pull.shares * self._scale)[:, None])

    def _logp(self, hidden: Tensor, part: Tensor, scores: Scores) -> Tensor:
        return (hidden @ part.T).float() * self._scale - scores.normalisers[:, None]

    @property
    def _scale(self) -> float:
        return 1.0 / (self.temperature or 1.0)

    def _parts(self) -> list[tuple[int, Tensor]]:
        size = CPU_PART if self.weight.device.type == "cpu" else GPU_PART
        return [(start, self.weight[start : start + size]) for start in range(0, len(self.weight), size)]

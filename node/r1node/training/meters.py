"""A round's metrics from its micro-batches, under TRL's names."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from r1node.training.head import Scores


class Meters:
    """Accumulates sums and weights; minima and maxima are kept apart."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._extremes: dict[str, float] = {}

    def add(self, name: str, total: float, weight: float) -> None:
        """Add a sum over `weight` items; the same weight twice for one quantity is the caller's to avoid."""
        self._sums[name] = self._sums.get(name, 0.0) + total
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def total(self, name: str, part: float) -> None:
        """Add to a sum that is reported as it is."""
        self._sums[name], self._weights[name] = self._sums.get(name, 0.0) + part, 1.0

    def tokens(self, scores: Scores, sampler_M: Tensor) -> None:
        """Entropy, and how far the trainer's log-probabilities are from the sampler's."""
        difference = (scores.logprobs - sampler_M).abs()
        self.add("entropy", float(scores.entropy.sum()), difference.numel())
        self.add("sampling/sampling_logp_difference/mean", float(difference.sum()), difference.numel())
        self._extreme("sampling/sampling_logp_difference/max", float(difference.max()), max)

    def ratios(self, weights_M: Tensor) -> None:
        """The importance weights of real tokens."""
        name = "sampling/importance_sampling_ratio"
        self.add(f"{name}/mean", float(weights_M.sum()), weights_M.numel())
        self._extreme(f"{name}/min", float(weights_M.min()), min)
        self._extreme(f"{name}/max", float(weights_M.max()), max)

    def clipping(self, low_M: Tensor, high_M: Tensor) -> None:
        """Which real tokens' ratios lie beyond the lower or the upper bound, where it takes their gradient (bool)."""
        for name, clipped in (("low", low_M), ("high", high_M), ("region", low_M | high_M)):
            self.add(f"clip_ratio/{name}_mean", float(clipped.sum()), clipped.numel())

    def result(self) -> dict[str, float]:
        """Every mean and extreme."""
        means = {name: total / (self._weights[name] or 1.0) for name, total in self._sums.items()}
        return means | self._extremes

    def _extreme(self, name: str, value: float, choose: Callable[[float, float], float]) -> None:
        self._extremes[name] = choose(self._extremes.get(name, value), value)

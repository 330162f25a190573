"""Weighted means of a round's metrics, under TRL's names."""

from __future__ import annotations

from torch import Tensor


class Meters:
    """Accumulates sums and weights; maxima are kept apart."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._maxima: dict[str, float] = {}

    def add(self, name: str, total: float, weight: float) -> None:
        """Add a sum over `weight` items; the same weight twice for one quantity is the caller's to avoid."""
        self._sums[name] = self._sums.get(name, 0.0) + total
        self._weights[name] = weight if name == "loss" else self._weights.get(name, 0.0) + weight

    def tokens(self, trainer_M: Tensor, sampler_M: Tensor, weights_M: Tensor, entropy_M: Tensor) -> None:
        """Per-token quantities of one micro-batch, real tokens only."""
        count = float(trainer_M.numel())
        difference = (trainer_M - sampler_M).abs()
        self.add("sampling/sampling_logp_difference/mean", float(difference.sum()), count)
        self.add("sampling/importance_sampling_ratio/mean", float(weights_M.sum()), count)
        self.add("entropy", float(entropy_M.sum()), count)
        name = "sampling/sampling_logp_difference/max"
        self._maxima[name] = max(self._maxima.get(name, 0.0), float(difference.max()))

    def result(self) -> dict[str, float]:
        """Every mean and maximum."""
        means = {name: total / (self._weights[name] or 1.0) for name, total in self._sums.items()}
        return means | self._maxima

"""Where a model in training takes its weights from, and where its gradients go to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Adapter:
    """A low-rank pair in the products' precision, A (rank, in) and B (out, rank), and the gradients, float32."""

    low: Tensor
    high: Tensor
    by_low: Tensor
    by_high: Tensor
    scale: float

    def take_up(self, by_weight: Tensor) -> None:
        """Add what the gradient (out, in) of the merged weight says of the pair."""
        self.by_high.add_(by_weight @ self.low.T, alpha=self.scale)
        self.by_low.add_(self.high.T @ by_weight, alpha=self.scale)


@dataclass(frozen=True)
class Source:
    """Weights in the job's precision and gradients in float32, by parameter name; adapters by the layer's name."""

    weight: Callable[[str], Tensor]
    has: Callable[[str], bool]
    gradients: Mapping[str, Tensor]
    adapters: Mapping[str, Adapter]

    def trains(self, name: str) -> bool:
        """Whether a parameter's gradient is wanted."""
        return name in self.gradients or name.removesuffix(".weight") in self.adapters

    def take_up(self, name: str, by_weight: Tensor) -> None:
        """Add a parameter's gradient to where it belongs."""
        if name in self.gradients:
            self.gradients[name].add_(by_weight)
            return
        self.adapters[name.removesuffix(".weight")].take_up(by_weight)

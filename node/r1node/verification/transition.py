"""Whether a version is what its attempt's sum leads to. No forward pass is needed: the two versions' files tell.

The moments of AdamW before and after a step give away the gradient that it was made with. Its sketch must be that of
the slots' sum, clipped; and the weights must be, to the last bit, what a step's arithmetic (`training.exact`) makes of
the moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from r1net.protocol.gradients import GradientStatement, unpack
from r1node.training import exact
from r1node.training.exact import Moments
from r1node.training.sketch import sketch
from r1node.training.trainer import Trainer

CLOSE = 0.01
"""By how much the sketch of what was stepped with may differ from the sum's, over its norm."""

EPSILON = 2e-6
"""By how much a gradient may be off that is worked out from moments, over these: they are rounded to float32, and the
gradient is a tenth of the difference."""


def fault_of(trainer: Trainer, statement: GradientStatement, policy: bytes, optimizer: bytes) -> str | None:
    """Why the stated version, of these files, isn't what the sum leads to; None if it is."""
    steps, after = trainer.read_optimizer(optimizer)
    if steps != trainer.steps + 1 or len(after) != len(trainer.policy.parameters):
        return "the optimizer's file is not of the next step"
    before = trainer.moments
    stepped = torch.cat([_gradient(b, a, trainer.spec.optimizer.betas[0]) for b, a in zip(before, after, strict=True)])
    if not all(_second_fits(b, a, trainer.spec.optimizer.betas) for b, a in zip(before, after, strict=True)):
        return "the second moments do not follow from the gradient that the first ones tell of"
    size = math.sqrt(sum(float(moments.first.double().square().sum()) for moments in (*before, *after)))
    words = _not_the_sum(stepped, statement, trainer.spec.optimizer.max_grad_norm, EPSILON * size)
    if words is not None:
        return words
    return None if _same(trainer.next_parameters(after), policy) else "the weights do not follow from the moments"


def _gradient(before: Moments, after: Moments, beta1: float) -> Tensor:
    """What a step was made with: (m' - m·β₁) / (1 - β₁)."""
    return ((after.first.double() - before.first.double() * beta1) / (1 - beta1)).float().cpu()


def _second_fits(before: Moments, after: Moments, betas: Sequence[float]) -> bool:
    beta1, beta2 = betas
    old, new, root, grown = (t.double() for t in (before.first, after.first, before.second, after.second))
    gradient = (new - old * beta1) / (1 - beta1)
    off = 10 * EPSILON * (old.abs() + new.abs())
    expected = root * beta2 + gradient.square() * (1 - beta2)
    slack = 1e-3 * expected + (1 - beta2) * (2 * gradient.abs() * off + off.square()) + 1e-37
    return bool(((grown - expected).abs() <= slack).all())


def _not_the_sum(stepped: Tensor, statement: GradientStatement, largest: float, rounding: float) -> str | None:
    """Why a flat gradient is not the stated sum, clipped to a norm of `largest`; None if it is."""
    total = np.array(unpack(statement.total), dtype=np.float64)
    found = sketch(stepped, statement.seed).astype(np.float64)
    length = float(total @ total)
    share = float(found @ total) / length if length else 0.0
    apart = float(np.linalg.norm(found - share * total))
    if apart > CLOSE * float(np.linalg.norm(found)) + 10 * rounding:
        return "the step was made with another gradient than the slots' sum"
    norm = exact.norm(stepped)
    clipped = abs(norm - largest) <= CLOSE * largest
    if norm <= 10 * rounding or clipped or abs(share - 1) <= CLOSE:
        return None if norm <= largest * (1 + CLOSE) and share <= 1 + CLOSE else "the sum was not clipped"
    return f"the step was made with {share:.3g} of the slots' sum"


def _same(made: dict[str, Tensor], policy: bytes) -> bool:
    file = load_safetensors(policy)
    return all(name in file and torch.equal(file[name], tensor.cpu()) for name, tensor in made.items())

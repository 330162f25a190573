"""What trainers' statements come to together: sketches are linear, so those of the slots add up to that of their sum.
Pure functions."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from r1net.protocol.canonical import Address
from r1net.protocol.gradients import GradientStatement, unpack

ROUNDING = 1e-4
"""By how much the sum's sketch may differ from the sum of the sketches, over the sum of their norms: they are float32,
and so are averages."""

LENGTH = 0.2
"""By how much a sketch's norm may differ from the gradient's, over the latter: its own spread is 0.016."""


@dataclass(frozen=True)
class Sums:
    """Whether the slots' sketches add up to the sum that the step was made with. `astray` are the workers whose sum
    is not that of the slots, while others' is. When nobody's is, some slot's gradient is not what it says."""

    holds: bool
    astray: tuple[Address, ...] = ()


def fits_norm(statement: GradientStatement) -> bool:
    """Whether the sketch is as long as the gradient that it is said to be of."""
    length = _norm(unpack(statement.sketch))
    return abs(length - statement.norm) <= LENGTH * statement.norm


def add_up(statements: Sequence[GradientStatement]) -> Sums:
    """Compare the statements of all slots of an attempt."""
    sketches = [unpack(statement.sketch) for statement in statements]
    total = array("d", map(math.fsum, zip(*sketches, strict=True)))
    allowed = ROUNDING * math.fsum(map(_norm, sketches))
    right = {s.worker: _distance(total, unpack(s.total)) <= allowed for s in statements}
    if not any(right.values()):
        return Sums(holds=False)
    return Sums(holds=True, astray=tuple(worker for worker, fits in right.items() if not fits))


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return math.dist(one, other)


def _norm(values: Sequence[float]) -> float:
    return math.hypot(*values)

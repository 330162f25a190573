"""How often each environment of a mix is drawn in a round: a pure function of the rewards that were admitted before it,
so that everyone can recompute it.

A group *teaches* when its rewards differ: of one that is always solved, or never, nothing can be learnt. A part of
which t of n groups taught of late is drawn by (t + 1) / (n + 1) of its own weight, so that one that nobody has measured
keeps it whole; but never by less than the curriculum's `least` of it. All is exact: whole numbers and fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from r1net.errors import ProtocolError, UsageError
from r1net.protocol.problems import Curriculum, EnvironmentSpec
from r1net.protocol.trace import Split

WHOLE = 1_000_000
"""What the weights of a round come to together."""

Weights = tuple[int, ...]
"""Of each part of a mix, in parts of `WHOLE`."""

Mix = Callable[[int], Weights]
"""Brings the weights of a training round after the first."""


class Measured(NamedTuple):
    """A group whose rewards were admitted: its round, the number of its part, and whether it teaches."""

    round: int
    part: int
    teaches: bool


class Share(NamedTuple):
    """How many groups of a part were measured, and how many of them teach."""

    groups: int
    teach: int

    @property
    def value(self) -> Fraction:
        """1 for a part that nobody has measured."""
        return Fraction(self.teach + 1, self.groups + 1)


def shares(environment: EnvironmentSpec, round_: int, groups: Iterable[Measured]) -> tuple[Share, ...]:
    """What the rounds that a round's weights depend on say of each part. Other rounds' groups don't count."""
    window = range(round_ - _curriculum(environment).rounds, round_)
    found = [[0, 0] for _ in environment.parts]
    for group in groups:
        if group.round in window:
            found[group.part][0] += 1
            found[group.part][1] += group.teaches
    return tuple(Share(*counts) for counts in found)


def weights_of(environment: EnvironmentSpec, measured: Iterable[Share]) -> Weights:
    """The weights of a round: whole numbers from 1 on, `WHOLE` in all."""
    return _whole(environment.weights, _curriculum(environment).least, tuple(measured))


@lru_cache(maxsize=256)
def _whole(own: tuple[float, ...], least: float, measured: tuple[Share, ...]) -> Weights:
    exact = [Fraction(weight) * max(Fraction(least), share.value) for weight, share in zip(own, measured, strict=True)]
    free, whole = WHOLE - len(exact), sum(exact)
    ends = [free * end // whole for end in accumulate(exact)]
    return tuple(1 + end - begin for begin, end in zip([0, *ends], ends, strict=False))


def mix_of(environment: EnvironmentSpec, split: Split, round_: int, mix: Mix | None) -> Weights | None:
    """The weights that a round's groups are drawn with; None where it has none beside the specification's."""
    if environment.curriculum is None or split != "train":
        return None
    if round_ == 0:
        return weights_of(environment, shares(environment, 0, ()))
    if mix is None:
        raise UsageError(f"the weights of round {round_} are not here")
    return mix(round_)


def require_weights(environment: EnvironmentSpec, weights: Weights) -> None:
    """Raises ProtocolError where these can't be a round's weights."""
    parts = len(environment.parts)
    if len(weights) != parts or min(weights) < 1 or sum(weights) != WHOLE:
        raise ProtocolError(f"the weights of a mix of {parts} are {parts} whole numbers above 0, {WHOLE} in all")


def _curriculum(environment: EnvironmentSpec) -> Curriculum:
    assert environment.curriculum is not None, "only asked of mixes with a curriculum"
    return environment.curriculum

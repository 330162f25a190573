"""A curriculum's weights: a pure function of what was admitted, exact, and the same for everyone."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from r1net.environments import Draw
from r1net.environments.curriculum import (
    WHOLE,
    Measured,
    Share,
    Weights,
    mix_of,
    require_weights,
    shares,
    weights_of,
)
from r1net.environments.places import leaf_of
from r1net.errors import ProtocolError, UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import Curriculum, EnvironmentSpec, Part
from tests.unit.coordinator.jobs import job_spec

USUAL = Curriculum()


def mix(*weights: float, curriculum: Curriculum | None = USUAL) -> EnvironmentSpec:
    """Sums of so many terms, by these weights."""
    parts = tuple(
        Part(
            environment=EnvironmentSpec(
                name="reasoning_gym:chain_sum", config={"min_terms": 2 + number, "max_terms": 2 + number}
            ),
            weight=weight,
        )
        for number, weight in enumerate(weights)
    )
    return EnvironmentSpec(name="mix:sums", parts=parts, curriculum=curriculum)


def job(*weights: float, **settings: float) -> JobSpec:
    return job_spec(environment=mix(*weights, curriculum=Curriculum.model_validate(settings)))


def weights_at(environment: EnvironmentSpec, round_: int, groups: list[Measured]) -> Weights:
    return weights_of(environment, shares(environment, round_, groups))


WEIGHTS = st.lists(st.floats(min_value=1e-300, max_value=1e6, exclude_min=True), min_size=1, max_size=64)
LEAST = st.floats(min_value=0, max_value=1, exclude_min=True)


@st.composite
def measured(draw: st.DrawFn) -> tuple[EnvironmentSpec, int, list[Measured]]:
    """A mix, a round, and groups of any rounds."""
    weights = draw(WEIGHTS)
    curriculum = Curriculum(rounds=draw(st.integers(1, 12)), least=draw(LEAST))
    group = st.builds(Measured, st.integers(0, 30), st.integers(0, len(weights) - 1), st.booleans())
    return mix(*weights, curriculum=curriculum), draw(st.integers(0, 30)), draw(st.lists(group, max_size=60))


@given(measured())
def test_weights_are_whole_numbers_above_nothing_and_come_to_the_whole(
    case: tuple[EnvironmentSpec, int, list[Measured]],
) -> None:
    environment, round_, groups = case
    found = weights_at(environment, round_, groups)
    require_weights(environment, found)
    assert all(type(weight) is int for weight in found)


@given(case=measured(), random=st.randoms())
def test_the_order_of_groups_does_not_matter(case: tuple[EnvironmentSpec, int, list[Measured]], random: Random) -> None:
    environment, round_, groups = case
    before = weights_at(environment, round_, groups)
    random.shuffle(groups)
    assert weights_at(environment, round_, groups) == before


@given(measured())
def test_only_the_window_counts(case: tuple[EnvironmentSpec, int, list[Measured]]) -> None:
    environment, round_, groups = case
    assert environment.curriculum is not None
    inside = [group for group in groups if round_ - environment.curriculum.rounds <= group.round < round_]
    assert shares(environment, round_, groups) == shares(environment, round_, inside)
    assert sum(share.groups for share in shares(environment, round_, groups)) == len(inside)


@given(measured())
def test_no_part_falls_below_its_least_share_nor_beyond_what_the_others_leave(
    case: tuple[EnvironmentSpec, int, list[Measured]],
) -> None:
    """A weight is as near to the exact one as whole numbers are, beside the 1 that each part has in any case."""
    environment, round_, groups = case
    assert environment.curriculum is not None
    least = Fraction(environment.curriculum.least)
    found = weights_at(environment, round_, groups)
    own = [Fraction(weight) for weight in environment.weights]
    exact = [w * max(least, s.value) for w, s in zip(own, shares(environment, round_, groups), strict=True)]
    for weight, part, mine in zip(found, exact, own, strict=True):
        assert abs(weight - 1 - (WHOLE - len(own)) * part / sum(exact)) < 1
        assert part >= least * mine


@given(weights=WEIGHTS, round_=st.integers(0, 50))
def test_what_nobody_has_measured_keeps_the_own_weights(weights: list[float], round_: int) -> None:
    environment = mix(*weights)
    found = weights_at(environment, round_, [])
    assert found == weights_at(environment, 0, [Measured(0, 0, False)] * 9), "round 0 has nothing before it"
    whole = sum(map(Fraction, weights))
    for weight, own in zip(found, weights, strict=True):
        assert abs(weight - 1 - (WHOLE - len(weights)) * Fraction(own) / whole) < 1


@given(st.integers(0, 50), st.integers(0, 50))
def test_more_that_teaches_is_a_larger_share(groups: int, teach: int) -> None:
    teach = min(groups, teach)
    share = Share(groups, teach).value
    assert 0 < share <= 1
    assert Share(groups + 1, teach).value < share
    assert Share(groups + 1, teach + 1).value >= share


def test_the_figures_are_these() -> None:
    """Everyone must come to the same: what they are is part of the protocol."""
    environment = mix(1, 1, 2, curriculum=Curriculum(rounds=2, least=0.125))
    solved = [Measured(3, 0, False)] * 9
    never = [Measured(4, 1, False)] * 3
    learnt = [Measured(3, 2, True), Measured(4, 2, False), Measured(4, 2, True)]
    old = [Measured(2, 2, False)] * 50
    groups = [*solved, *never, *learnt, *old]
    assert shares(environment, 5, groups) == (Share(9, 0), Share(3, 0), Share(3, 2))
    # 1/8 for 1/10, 1/4, and 2 * 3/4
    assert weights_at(environment, 5, groups) == (66_667, 133_334, 799_999)
    assert weights_at(environment, 0, groups) == (250_000, 250_000, 500_000)


def test_a_draw_follows_the_weights_and_nothing_else() -> None:
    spec = job(1, 1, 2)
    drawn = Counter(leaf_of(spec, "train", 3, group, lambda _: (900_000, 99_999, 1)) for group in range(4000))
    assert 3450 < drawn[0] < 3750
    assert drawn[2] < 3
    assert {leaf_of(spec, "train", 3, group, lambda _: (0, 1, 0)) for group in range(50)} == {1}
    first = Counter(leaf_of(spec, "train", 0, group) for group in range(4000))
    assert 1850 < first[2] < 2150
    held = [leaf_of(spec, "heldout", 3, group) for group in range(3)]
    assert held == [leaf_of(job_spec(environment=mix(1, 1, 2, curriculum=None)), "heldout", 3, n) for n in range(3)]


def test_a_later_round_without_its_weights_is_no_round_with_fixed_ones() -> None:
    spec = job(1, 1)
    assert Draw(spec).problem("train", 0, 0).question
    with pytest.raises(UsageError, match="weights of round 1 are not here"):
        Draw(spec).problem("train", 1, 0)
    assert mix_of(mix(1, 1, curriculum=None), "train", 1, None) is None


@pytest.mark.parametrize("weights", [(), (WHOLE,), (0, WHOLE), (-1, WHOLE + 1), (1, 1), (1, 1, WHOLE - 2)])
def test_what_can_be_no_weights_is_refused(weights: Weights) -> None:
    with pytest.raises(ProtocolError, match="2 whole numbers above 0"):
        require_weights(mix(1, 1), weights)


def test_a_curriculum_is_of_a_mix_and_changes_no_other_digest() -> None:
    with pytest.raises(ValidationError, match="a curriculum is of mix"):
        EnvironmentSpec(name="reasoning_gym:chain_sum", curriculum=Curriculum())
    plain = mix(1, 2, curriculum=None)
    assert b"curriculum" not in plain.canonical()
    assert plain.digest() != mix(1, 2).digest()
    for settings in ({"rounds": 0}, {"rounds": 1001}, {"least": 0}, {"least": 1.5}, {"least": float("nan")}):
        with pytest.raises(ValidationError):
            Curriculum.model_validate(settings)

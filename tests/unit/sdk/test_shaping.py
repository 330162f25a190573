"""Rewards as they are trained on: penalties, spread, deviation."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.shaping import deviation, has_spread, overlong_penalty, shaped_reward
from tests.unit.coordinator.jobs import job_spec


def test_overlong_penalty() -> None:
    assert [overlong_penalty(length, 100, 20) for length in (1, 80, 90, 100)] == [0.0, 0.0, -0.5, -1.0]
    assert [overlong_penalty(length, 100, 0) for length in (1, 80, 90, 100)] == [0.0] * 4


def test_a_penalty_changes_a_reward_but_makes_none() -> None:
    spec = job_spec(stage=job_spec().stage.model_copy(update={"overlong_buffer": 4}))
    assert shaped_reward(spec, 1.0, spec.sampling.max_tokens - 1) == 0.25
    assert shaped_reward(spec, 1.0, 1) == 1.0
    assert shaped_reward(spec, None, spec.sampling.max_tokens) is None


def test_a_group_without_two_different_rewards_has_no_spread() -> None:
    assert not any(has_spread(rewards) for rewards in ([], [None, None], [1.0, None], [0.1] * 3, [0.0, -0.0]))
    assert has_spread([0.0, None, 1.0])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.randoms())
def test_the_deviation_is_unbiased_and_does_not_depend_on_the_order(rewards: list[float], random: object) -> None:
    shuffled = list(rewards)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert deviation(rewards) == deviation([None, *shuffled, None])
    assert deviation(rewards) == pytest.approx(statistics.stdev(rewards), rel=1e-9, abs=1e-12)


def test_fewer_than_two_rewards_do_not_deviate() -> None:
    assert deviation([]) == deviation([1.0]) == deviation([None, 3.0]) == 0.0

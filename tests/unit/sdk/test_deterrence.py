"""What a lie costs: the formula against simulated cheats, and that draws follow the worth of what is drawn."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net import R1
from r1net.deterrence import CHEATS, MARGIN, PLANTED, least_rate, odds, plant_rate, profit, rate_of
from r1net.protocol.job import Prices, Verification
from r1net.protocol.pricing import Work
from tests.unit.coordinator.jobs import TOKEN, job_spec

WEI = st.integers(1, 10**24)


@given(WEI, WEI)
def test_at_the_least_rate_a_lie_loses_several_times_what_it_wins(worth: int, at_risk: int) -> None:
    rate = least_rate(worth, at_risk)
    assert 0 < rate <= 1
    won = worth * (1 - rate) / rate
    assert won * MARGIN <= at_risk * (1 + 1e-9) + worth * 1e-12
    found = profit(worth, rate, at_risk)
    assert found is not None
    assert found < 0


@given(WEI, WEI, WEI)
def test_what_is_worth_more_is_drawn_more_often(worth: int, more: int, at_risk: int) -> None:
    assert least_rate(worth, at_risk) <= least_rate(worth + more, at_risk)
    assert least_rate(worth, at_risk + more) <= least_rate(worth, at_risk)
    assert least_rate(0, at_risk) == 0


@pytest.mark.parametrize("pieces", [1, 5, 1000])
def test_the_expectation_is_that_of_cheats_who_play(pieces: int) -> None:
    """Cheats who fake so many pieces, or until they are caught: nobody wins more than the formula says."""
    rng, worth, rate, at_risk = random.Random(7), 10, 0.2, 25
    wins = []
    for _ in range(20_000):
        won = 0
        for _ in range(pieces):
            if rng.random() < rate:
                won -= at_risk
                break
            won += worth
        wins.append(won)
    expected = (1 - (1 - rate) ** pieces) * (worth * (1 - rate) / rate - at_risk)
    assert sum(wins) / len(wins) == pytest.approx(expected, rel=0.1, abs=0.3)


def test_no_cheat_that_can_be_caught_pays_at_the_default_rate() -> None:
    """Whatever the prices: with them rises how often the work is drawn."""
    for price in (0, 1, R1 // 1000, R1 // 10, R1):
        spec = job_spec(prices=Prices(rollout_token=price, trained_token=price), verification=Verification())
        for one in odds(spec, TOKEN, 800 * R1):
            assert one.pays == (one.cheat.caught == 0)
            if one.cheat.kind != "verification":  # what finds these are tampered copies
                assert one.rate >= spec.verification.rate_of(one.cheat.kind)


@given(st.integers(0, 400), st.integers(1, 10**6))
def test_voting_without_looking_loses_more_than_it_brings(worth: int, scale: int) -> None:
    """As long as the votes of a check are worth no more than half of what is at risk: R1 800."""
    planted = plant_rate(worth * scale, 800 * scale)
    assert PLANTED <= planted <= 1
    brought = profit(worth * scale, planted / (1 + planted), 800 * scale)
    assert brought is not None
    assert brought <= -400 * scale * (1 - 1e-9)


def test_work_that_is_worth_too_much_for_the_stake_is_not_to_be_taken_in() -> None:
    """Where a lie that is seen three times of four wins more than the stake, drawing everything isn't enough."""
    spec = job_spec(prices=Prices(trained_token=1000 * R1), verification=Verification())
    assert [one.cheat.name for one in odds(spec, TOKEN, 800 * R1) if one.pays and one.cheat.caught] == [
        "a gradient that leaves a sixteenth out"
    ]


def test_a_job_without_checks_lets_every_lie_through() -> None:
    spec = job_spec(prices=Prices(rollout_token=1, trained_token=1), verification=Verification(rate=0))
    assert all(one.pays for one in odds(spec, TOKEN, 800 * R1))


def test_a_stake_in_other_money_counts_for_nothing() -> None:
    prices = Prices(rollout_token=R1, trained_token=R1, verified_token=R1)
    spec = job_spec(prices=prices, verification=Verification())
    other = "0x" + "42" * 20
    for kind in ("rollout", "training"):
        assert rate_of(spec, Work(kind, 10**30), 0) == spec.verification.rate_of(kind)
    assert all(one.pays for one in odds(spec, other, 800 * R1))
    assert len(odds(spec, other, 0)) == len(CHEATS)

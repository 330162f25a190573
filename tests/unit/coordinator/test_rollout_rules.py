"""How groups are handed out, and the figures of rounds: pure rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.scheduling.metrics import TraceFigures, evaluation, merged, sampling_metrics, wilson
from r1coordinator.scheduling.rollout import Demand, assignment, free_groups, most_groups, pause_after, share
from r1net.protocol.job import PolicyVersion
from tests.unit.coordinator.jobs import job_spec


@given(total=st.integers(1, 200), workers=st.integers(1, 9), most=st.integers(1, 50))
def test_shares_cover_all_groups_without_overlap(total: int, workers: int, most: int) -> None:
    taken: list[int] = []
    waiting = workers
    while free := free_groups(total, taken):
        size = share(len(free), max(waiting, 1), most)
        assert 1 <= size <= most
        taken += free[:size]
        waiting -= 1
    assert sorted(taken) == list(range(total))


def test_an_even_share_for_each_idle_worker() -> None:
    assert [share(16, 2, 99), share(8, 1, 99), share(7, 2, 99), share(1, 5, 99), share(100, 1, 10)] == [8, 8, 4, 1, 10]


def test_a_lease_never_asks_for_more_than_a_request_can_carry() -> None:
    assert most_groups(8, 1024, 64 * 2**20) == 186
    assert most_groups(64, 131072, 2**16) == 1


def test_phases_ask_for_their_problems() -> None:
    spec = job_spec()
    assert assignment(spec, "evaluate_first", 0) == Demand("heldout", 0, wanted=3, limit=3, size=1)
    assert assignment(spec, "rollout", 1) == Demand("train", 1, wanted=4, limit=4, size=2)
    assert assignment(spec, "evaluate_last", 2) == Demand("heldout", 2, wanted=3, limit=3, size=1)
    choosy = job_spec(stage=spec.stage.model_copy(update={"dynamic_sampling": 3}))
    assert assignment(choosy, "rollout", 1) == Demand("train", 1, wanted=4, limit=12, size=2)
    assert assignment(choosy, "evaluate_last", 2) == Demand("heldout", 2, wanted=3, limit=3, size=1)


def test_failures_earn_longer_and_longer_pauses() -> None:
    assert [pause_after(n) for n in (0, 1, 2, 3, 10)] == [0.0, 2.0, 4.0, 8.0, 60.0]


def figures(group: int, reward: float | None, tokens: int = 4, **parts: float | None) -> TraceFigures:
    return TraceFigures(group, reward, reward, parts, tokens, "stop" if reward else "length")


def test_round_figures_are_trls() -> None:
    """Figures that TRL 1.16 logs for the same rewards: deviations over all completions, without the unscored."""
    found = sampling_metrics(
        [
            figures(0, 1.0, tokens=3, correct=1.0),
            figures(0, 0.0, tokens=9, correct=0.0),
            figures(1, 0.0, tokens=9, correct=None),
            figures(1, None, tokens=9, correct=None),
        ]
    )
    assert found == {
        "reward": pytest.approx(1 / 3),
        "reward_std": pytest.approx(math.sqrt(1 / 3)),
        "frac_reward_zero_std": 0.5,
        "completions/clipped_ratio": 0.75,
        "completions/mean_length": 7.5,
        "completions/min_length": 3.0,
        "completions/max_length": 9.0,
        "completions/mean_terminated_length": 3.0,
        "completions/min_terminated_length": 3.0,
        "completions/max_terminated_length": 3.0,
        "rewards/correct/mean": 0.5,
        "rewards/correct/std": pytest.approx(math.sqrt(0.5)),
    }


def test_a_round_without_rewards_has_no_mean_of_them() -> None:
    found = sampling_metrics([figures(0, None, correct=None), figures(0, None, correct=None)])
    assert {name: value for name, value in found.items() if "reward" in name} == {
        "reward_std": 0.0,
        "frac_reward_zero_std": 1.0,
    }
    assert found["completions/mean_terminated_length"] == 0.0


def test_reported_means_are_weighted_by_tokens() -> None:
    assert merged([(30, {"loss": 1.0}), (10, {"loss": 5.0, "own": 2.0})]) == {"loss": 2.0, "own": 2.0}
    assert merged([(0, {"loss": 3.0})]) == {"loss": 3.0}


def test_reported_extremes_stay_extremes() -> None:
    one = {"ratio/min": 0.5, "ratio/max": 2.0, "clip_ratio/high_max": 0.1, "climax": 1.0}
    two = {"ratio/min": 0.25, "ratio/max": 1.5, "clip_ratio/high_max": 0.5, "climax": 5.0}
    assert merged([(30, one), (10, two)]) == {
        "ratio/min": 0.25,
        "ratio/max": 2.0,
        "clip_ratio/high_max": 0.5,
        "climax": 2.0,
    }


def test_the_interval_is_wilsons() -> None:
    assert wilson(10, 100) == pytest.approx((0.05522854, 0.17436566), abs=1e-6)  # statsmodels 0.14, method="wilson"
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_proportion(case: tuple[int, int]) -> None:
    correct, problems = case
    low, high = wilson(correct, problems)
    assert 0.0 <= low <= correct / problems + 1e-12
    assert correct / problems - 1e-12 <= high <= 1.0


def test_an_evaluation_counts_full_marks() -> None:
    version = PolicyVersion(number=0, policy="0x" + "0" * 64)
    record = evaluation(version, [figures(0, 1.25, correct=1.0, format=1.0), figures(1, 0.25, correct=0.0, format=1.0)])
    assert (record.correct, record.problems, record.accuracy, record.mean_reward) == (1, 2, 0.5, 0.75)


def test_problems_that_nothing_can_judge_are_no_failures() -> None:
    version = PolicyVersion(number=0, policy="0x" + "0" * 64)
    record = evaluation(version, [figures(0, 1.0, exact=1.0), figures(1, None, exact=None)])
    assert (record.correct, record.problems, record.accuracy, record.mean_reward) == (1, 1, 1.0, 1.0)
    nothing = evaluation(version, [figures(0, None, exact=None)])
    assert (nothing.problems, nothing.accuracy, nothing.low, nothing.high, nothing.mean_reward) == (0, 0, 0, 1, None)

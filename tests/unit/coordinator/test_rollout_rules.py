"""How groups are handed out, and the figures of rounds: pure rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.scheduling.metrics import TraceFigures, evaluation, sampling_metrics, weighted_means, wilson
from r1coordinator.scheduling.rollout import assignment, free_groups, most_groups, pause_after, share
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
    assert assignment(spec, "evaluate_first", 0) == ("heldout", 0, 3, 1)
    assert assignment(spec, "rollout", 1) == ("train", 1, 4, 2)
    assert assignment(spec, "evaluate_last", 2) == ("heldout", 2, 3, 1)


def test_failures_earn_longer_and_longer_pauses() -> None:
    assert [pause_after(n) for n in (0, 1, 2, 3, 10)] == [0.0, 2.0, 4.0, 8.0, 60.0]


def figures(group: int, reward: float, **parts: float | None) -> TraceFigures:
    return TraceFigures(group, reward, parts, 4, "stop" if reward else "length")


def test_round_figures_are_trls() -> None:
    found = sampling_metrics(
        [figures(0, 1.0, correct=1.0), figures(0, 0.0, correct=0.0), figures(1, 0.0, correct=None), figures(1, 0.0)]
    )
    assert found == {
        "reward": 0.25,
        "reward_std": pytest.approx(math.sqrt(0.5) / 2),
        "frac_reward_zero_std": 0.5,
        "completions/mean_length": 4.0,
        "completions/clipped_ratio": 0.75,
        "rewards/correct/mean": 0.5,
    }


def test_reported_metrics_are_weighted_by_tokens() -> None:
    assert weighted_means([(30, {"loss": 1.0}), (10, {"loss": 5.0, "own": 2.0})]) == {"loss": 2.0, "own": 2.0}
    assert weighted_means([(0, {"loss": 3.0})]) == {"loss": 3.0}


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

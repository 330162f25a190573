"""A sample that is bought: a small job of its own, or a refusal before anything is paid."""

from __future__ import annotations

import pytest

from r1net.errors import UsageError
from r1net.jobs.bought import sample_job
from r1net.jobs.prices import most_tokens
from r1net.protocol.job import Prices
from tests.unit.coordinator.jobs import job_spec


def test_it_is_the_jobs_first_round_with_its_seed_and_prices() -> None:
    spec = job_spec()
    made = sample_job(spec, 3)
    assert (made.stage.rounds, made.stage.groups_per_round, made.evaluation.problems) == (1, 3, 0)
    assert (made.seed, made.prices, made.stage.group_size) == (spec.seed, spec.prices, spec.stage.group_size)
    cost = most_tokens(made.stage, made.sampling, made.evaluation, made.verification).cost(made.prices)
    assert made.budget >= cost > 0


@pytest.mark.parametrize("groups", [0, -1, 10**6])
def test_so_many_groups_are_refused(groups: int) -> None:
    with pytest.raises(UsageError, match="sample"):
        sample_job(job_spec(), groups)


def test_a_job_that_pays_nothing_buys_nothing() -> None:
    with pytest.raises(UsageError, match="pays nothing"):
        sample_job(job_spec(prices=Prices()), 3)

"""A host believes nobody about what a job pays: not the coordinator, not the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from r1net.chain import JobState
from r1net.errors import ChainUnavailable, UsageError
from r1net.protocol.job import JobView, Prices
from r1node.settings import resolve
from r1node.terms import Terms, Unfit
from tests.unit.coordinator.chain import FakeChain
from tests.unit.coordinator.jobs import TOKEN, job_spec

ODD = "0x" + "0d" * 20


def view(job_id: str, **changes: object) -> JobView:
    spec = job_spec(**changes)
    return JobView.model_validate(
        {
            "job_id": job_id,
            "spec_digest": spec.digest(),
            "spec": spec,
            "state": "running",
            "phase": "rollout",
            "round": 0,
            "version": {"number": 0, "policy": spec.model.digest()},
        }
    )


def funded() -> tuple[FakeChain, JobView]:
    chain = FakeChain()
    return chain, view(chain.fund(job_spec()))


def test_a_job_that_pays_and_is_funded_is_worked_on() -> None:
    chain, job = funded()
    terms = Terms({TOKEN.lower(): 500}, chain.job)
    assert terms.due(job.job_id)
    terms.check(job)
    assert not terms.due(job.job_id)


@pytest.mark.parametrize(
    "change",
    [
        lambda job: replace(job, closed_at=1),
        lambda job: replace(job, available=0),
        lambda job: replace(job, refunded=1),
        lambda job: replace(job, funded=job.funded - 1),
        lambda job: replace(job, token=ODD),
        lambda job: replace(job, spec_digest="0x" + "00" * 32),
    ],
)
def test_an_escrow_that_does_not_stand_for_the_job_is_found_out(change: Callable[[JobState], JobState]) -> None:
    chain, job = funded()
    chain.jobs[job.job_id] = change(chain.jobs[job.job_id])
    with pytest.raises(Unfit) as caught:
        Terms({TOKEN: 1}, chain.job).check(job)
    assert caught.value.code == "unfunded"


def test_a_job_that_the_escrow_never_heard_of_is_found_out() -> None:
    chain, _ = funded()
    with pytest.raises(Unfit, match="doesn't know"):
        Terms({TOKEN: 1}, chain.job).check(view("0x" + "77" * 32))


@pytest.mark.parametrize(
    ("floors", "changes"),
    [
        ({TOKEN: 501}, {}),
        ({ODD: 1}, {}),
        ({TOKEN: 1}, {"prices": Prices(rollout_token=10**30, trained_token=10**30), "budget": 1}),
        ({TOKEN: 1}, {"prices": Prices(rollout_token=0, trained_token=5)}),
    ],
)
def test_what_pays_less_than_the_floor_is_not_loaded(floors: dict[str, int], changes: dict[str, object]) -> None:
    chain, _ = funded()
    with pytest.raises(Unfit) as caught:
        Terms(floors, chain.job).check(view(chain.fund(job_spec(**changes), 2), **changes))
    assert caught.value.code == "underpaid"


def test_a_chain_that_is_away_stops_only_what_was_never_checked() -> None:
    chain, job = funded()
    terms = Terms({TOKEN: 1}, chain.job)
    terms.check(job)
    chain.away = True
    terms.check(job)
    with pytest.raises(ChainUnavailable):
        terms.check(view("0x" + "77" * 32))


def test_floors_come_from_the_settings() -> None:
    assert resolve({}, {}).settings.floors(TOKEN) == {TOKEN: 10**9}
    given = {"R1_MIN_PRICE": "7", "R1_ACCEPT": f"{ODD}=5, 0x{'1' * 40}=0"}
    assert resolve({}, given).settings.floors(TOKEN) == {TOKEN: 7, ODD: 5, "0x" + "1" * 40: 0}
    for wrong in ("0x12=5", ODD, f"{ODD}=-1", f"{ODD}=1.5"):
        with pytest.raises(UsageError, match="accept"):
            resolve({"accept": wrong}, {})

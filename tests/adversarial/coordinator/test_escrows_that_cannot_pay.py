"""A job whose escrow can no longer pay stops giving out work; what was accepted until then is settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1coordinator.scheduling.watch import watch_funding
from r1coordinator.settlement.sender import Settler
from r1net.errors import ChainUnavailable
from r1net.protocol.job import Grpo, JobSpec, Prices
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import World, run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


def watch(world: World, depth: int = 0) -> bool:
    return watch_funding(world.services.db, world.services.ctx, world.chain, depth, world.clock)


def half_done(world: World, spec: JobSpec, leases: int = 2) -> str:
    """A job with some work accepted."""
    job_id = world.submit(spec)
    node = world.node(1)
    for _ in range(leases):
        lease = node.work()
        assert lease is not None
        assert node.do(lease).status_code == 200
    return job_id


BUDGET = 200_000


def spent(world: World, name: str) -> str:
    """A job that pays for its first rounds, and not for all of them."""
    spec = job_spec(name=name, budget=BUDGET, stage=Grpo(rounds=6, groups_per_round=4, group_size=2))
    job_id, nodes = world.submit(spec), [world.node(1), world.node(2)]
    while world.job(job_id)["held"] is None:
        for node in nodes:
            lease = node.work()
            if lease is not None:
                node.do(lease)
        world.tick(1)
        assert not watch(world)
        assert world.job(job_id)["state"] == "running"
    return job_id


def dues(world: World, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.http.get(f"/v1/jobs/{job_id}/dues").json()
    return found


def test_a_job_in_order_goes_on(world: World) -> None:
    job_id = half_done(world, job_spec(name="in order"))
    assert not watch(world)
    assert world.job(job_id)["state"] == "running"


def test_a_closed_job_stops_at_once_and_is_settled_in_its_grace_period(world: World) -> None:
    job_id = half_done(world, job_spec(name="closed"), leases=1)
    worker = world.node(2)
    held = worker.work()
    assert held is not None
    world.chain.close(job_id)
    assert watch(world)
    view = world.job(job_id)
    assert (view["state"], view["error"]) == ("cancelled", "its submitter has closed its escrow")
    assert worker.heartbeat(held)["alive"] is False
    assert world.node(3).work() is None
    for _ in range(2):
        Settler(world.services.db, world.chain, world.settings, world.clock).step()
    assert [due["state"] for due in dues(world, job_id)] == ["settled"]
    account = world.chain.jobs[job_id]
    assert account.paid == int(dues(world, job_id)[0]["amount"]) > 0


def test_a_job_that_was_closed_and_refunded_says_what_is_lost(world: World) -> None:
    job_id = half_done(world, job_spec(name="refunded"))
    world.chain.close(job_id)
    world.chain.refund(job_id)
    assert watch(world)
    Settler(world.services.db, world.chain, world.settings, world.clock).step()
    (due,) = dues(world, job_id)
    assert due["state"] == "unpayable"
    assert world.job(job_id)["settlement"] == due["error"]
    earned = world.http.get(f"/v1/accounts/{world.node(1).owner}/rewards").json()
    assert (earned["final"], earned["pending"]) == ("0", "0")
    assert {(row["amount"], row["error"]) for row in earned["earnings"]} == {("0", due["error"])}


def test_a_job_that_still_waits_for_its_model_stops_too(world: World) -> None:
    spec = job_spec(name="no model")
    job_id = world.chain.fund(spec)
    body = f'{{"job_id": "{job_id}", "spec": {spec.model_dump_json()}}}'
    assert world.http.post("/v1/jobs", content=body).status_code == 200
    world.chain.close(job_id)
    assert watch(world)
    assert world.job(job_id)["state"] == "cancelled"


def test_a_spent_budget_waits_for_more_and_then_ends_the_work(world: World) -> None:
    job_id = spent(world, "spent")
    assert not watch(world)
    assert (world.job(job_id)["state"], world.job(job_id)["held"]) == ("running", "spent")
    assert world.node(2).ask().reason == "the job waits for more money"
    assert int(dues(world, job_id)[0]["amount"]) <= BUDGET
    world.clock.time += world.settings.top_up_seconds + 1
    assert watch(world)
    assert world.job(job_id)["error"] == f"its budget of {BUDGET} is spent"
    assert len(dues(world, job_id)) == 1


def test_a_job_goes_on_after_its_budget_is_topped_up(world: World) -> None:
    job_id = spent(world, "topped up")
    watch(world)
    account = world.chain.jobs[job_id]
    world.chain.jobs[job_id] = replace(account, funded=account.funded + 10**9)
    assert not watch(world)
    assert world.job(job_id)["held"] is None
    run(world, [world.node(1), world.node(2)], job_id)
    assert world.job(job_id)["state"] == "completed"
    paid = [int(due["amount"]) for due in dues(world, job_id)]
    assert len(paid) == 2
    assert sum(paid) > BUDGET


def test_an_epoch_is_closed_before_its_cap_cuts_anybodys_pay(world: World) -> None:
    """The cap pays for the work so far, and less than twice: the next work goes into another epoch."""
    job_id = half_done(world, capped(world, 120_000))
    assert not watch(world)
    (due,) = dues(world, job_id)
    assert due["state"] == "waiting"
    assert 60_000 < int(due["amount"]) <= 120_000
    assert world.job(job_id)["state"] == "running"
    assert not watch(world)
    assert len(dues(world, job_id)) == 1


def test_a_cap_below_what_is_owed_ends_the_work(world: World) -> None:
    job_id = half_done(world, capped(world, 2_000))
    assert watch(world)
    assert "at most 2000 in one epoch" in world.job(job_id)["error"]


def capped(world: World, cap: int) -> JobSpec:
    """A job of many epochs, each with a small cap."""
    spec = job_spec(
        name=f"capped at {cap}",
        stage=Grpo(rounds=1000, groups_per_round=4, group_size=2),
        epoch_rounds=1,
        budget=1000 * cap,
        prices=Prices(rollout_token=1000, trained_token=500),
    )
    job_id = world.chain.fund(spec)
    world.chain.jobs[job_id] = replace(world.chain.jobs[job_id], epoch_cap=cap)
    world.chain.fund = lambda _spec, _number=1: job_id  # type: ignore[method-assign]
    return spec


@pytest.mark.parametrize(("cap", "taken"), [(1, False), (99_999, False), (100_000, True)])
def test_intake_refuses_a_budget_that_the_cap_cannot_pay(world: World, cap: int, taken: bool) -> None:
    spec = job_spec(name="caps", stage=Grpo(rounds=3, groups_per_round=4, group_size=2), epoch_rounds=2, budget=200_000)
    job_id = world.chain.fund(spec)
    world.chain.jobs[job_id] = replace(world.chain.jobs[job_id], epoch_cap=cap)
    answer = world.http.post("/v1/jobs", content=f'{{"job_id": "{job_id}", "spec": {spec.model_dump_json()}}}')
    assert (answer.status_code == 200) is taken
    if not taken:
        assert (answer.status_code, answer.json()["code"]) == (402, "cap_too_low")


def test_a_job_that_the_chain_forgets_stops_when_that_is_deep(world: World) -> None:
    job_id = half_done(world, job_spec(name="forgotten"))
    world.chain.mine(5)
    del world.chain.jobs[job_id]
    assert not watch(world, depth=3), "a deeper block knows it"
    world.chain.mine(5)
    assert watch(world, depth=3)
    assert "doesn't know it" in world.job(job_id)["error"]


def test_a_chain_that_is_away_stops_no_job(world: World) -> None:
    job_id = half_done(world, job_spec(name="away"))
    world.chain.away = True
    with pytest.raises(ChainUnavailable):
        watch(world)
    assert world.job(job_id)["state"] == "running"


def test_one_strange_escrow_does_not_keep_the_others_from_being_watched(world: World) -> None:
    strange = world.submit(job_spec(name="strange"), 1)
    closed = world.submit(job_spec(name="closed as well"), 2)
    del world.chain.jobs[strange]
    world.chain.close(closed)
    assert watch(world)
    assert [world.job(job)["state"] for job in (strange, closed)] == ["failed", "cancelled"]


def test_money_in_reserve_or_paid_is_not_missing(world: World) -> None:
    """A pending, a rejected and a final epoch each move money away from what is available."""
    job_id = half_done(world, job_spec(name="moving"))
    account = world.chain.jobs[job_id]
    for reserved, available in ((account.funded, 0), (account.funded // 2, 0), (0, 1)):
        world.chain.jobs[job_id] = replace(account, reserved=reserved, available=available)
        assert not watch(world)

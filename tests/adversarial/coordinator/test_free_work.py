"""Threat model, 4: work that pays nothing takes no host from work that pays, and no job starves another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from r1coordinator.scheduling.prices import Choice, draws_away, ranked
from r1coordinator.store.tables import AttemptRow, LeaseRow
from r1net.prices import price_of
from r1net.protocol.job import Evaluation, JobSpec, Prices, SubmitJob
from r1net.protocol.work import RolloutTask, TrainTask
from tests.unit.coordinator.jobs import TOKEN, job_spec, key
from tests.unit.coordinator.network import Node, World, run

ODD = key(77).address
"""A token that anybody could have made."""
FREE = Prices(rollout_token=0, trained_token=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


def spec(**changes: Any) -> JobSpec:
    return job_spec(evaluation=Evaluation(problems=0), **changes)


def leases_of(world: World, job_id: str) -> int:
    with world.services.db.read() as s:
        return s.query(LeaseRow).where(LeaseRow.job_id == job_id).count()


def test_hosts_with_floors_never_see_what_pays_less(world: World) -> None:
    """All of these are older than the job that pays, and each pays less in its own way."""
    floor = 1000
    cheap = {
        "nothing": spec(name="nothing", prices=FREE, budget=1),
        "an odd token": spec(
            name="odd", payment_token=ODD, budget=10**12, prices=Prices(rollout_token=10**9, trained_token=10**9)
        ),
        "trained for nothing": spec(name="half", prices=Prices(rollout_token=10**6, trained_token=0)),
        "a wei too little": spec(name="less", prices=Prices(rollout_token=floor - 1, trained_token=floor)),
    }
    ids = [world.submit(one, number) for number, one in enumerate(cheap.values(), 1)]
    paying = world.submit(spec(name="paying", prices=Prices(rollout_token=floor, trained_token=floor)), 99)
    nodes = [world.node(1), world.node(2)]
    for node in nodes:
        node.floors = {TOKEN: floor}
    assert run(world, nodes, paying)["state"] == "completed"
    assert [leases_of(world, job_id) for job_id in ids] == [0] * len(ids)
    answer = nodes[0].ask()
    assert answer.lease is None
    assert "pays what this worker takes" in str(answer.reason)


def test_who_promises_more_than_the_budget_pays_is_refused(world: World) -> None:
    boast = spec(name="boast", budget=1, prices=Prices(rollout_token=10**30, trained_token=10**30))
    body = SubmitJob(job_id=world.chain.fund(boast), spec=boast).model_dump_json()
    answer = world.http.post("/v1/jobs", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "budget_too_small")


def test_a_host_may_take_further_tokens(world: World) -> None:
    odd = world.submit(spec(name="odd", payment_token=ODD, prices=Prices(rollout_token=5, trained_token=5)))
    node = world.node(1)
    node.floors = {TOKEN: 1000}
    assert node.work() is None
    node.floors = {TOKEN: 1000, ODD.lower(): 5}
    assert run(world, [node], odd)["state"] == "completed"


def test_without_floors_what_pays_nothing_comes_last(world: World) -> None:
    free = world.submit(spec(name="free", prices=FREE), 1)
    paying = world.submit(spec(name="paying"), 2)
    nodes = [world.node(number) for number in (1, 2, 3)]
    for node in nodes[:2]:
        lease = node.work()
        assert lease is not None
        assert lease.job_id == paying
    assert run(world, nodes, paying)["state"] == "completed"
    assert run(world, nodes, free)["state"] == "completed"


def test_a_free_job_keeps_no_worker_that_it_once_got(world: World) -> None:
    free = world.submit(spec(name="free", prices=FREE), 1)
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    assert lease.job_id == free
    paying = world.submit(spec(name="paying"), 2)
    node.holds[free] = 0
    assert node.submit(lease).status_code == 200
    again = node.work()
    assert again is not None
    assert again.job_id == paying, "its version is in memory, and the free job waits to be trained"


def test_trainers_are_not_drawn_into_jobs_that_pay_too_little(world: World) -> None:
    free = world.submit(spec(name="free", prices=FREE), 1)
    worker = world.node(1)
    lease = worker.work()
    assert lease is not None
    assert worker.submit(lease).status_code == 200
    choosy = world.node(2)
    choosy.floors = {TOKEN: 1}
    assert choosy.work() is None
    world.tick(1)
    found = worker.work()
    assert found is not None
    assert found.job_id == free
    assert isinstance(found.task, TrainTask)
    assert [slot.worker for slot in found.task.slots] == [worker.worker]


def test_a_better_price_draws_workers_in_proportion(world: World) -> None:
    """Eight workers on two jobs, one of which pays three times as much."""
    many = job_spec().stage.model_copy(update={"groups_per_round": 64})
    one = world.submit(spec(name="one", stage=many, prices=Prices(rollout_token=100, trained_token=100)), 1)
    three = world.submit(spec(name="three", stage=many, prices=Prices(rollout_token=300, trained_token=300)), 2)
    nodes = [world.node(number) for number in range(8)]
    got = Counter(lease.job_id for node in nodes if (lease := node.work()) is not None)
    assert got == {three: 6, one: 2}


def test_an_older_job_does_not_starve_a_newer_one(world: World) -> None:
    """Everybody holds the old job's version when the new one comes."""
    old = world.submit(spec(name="old"), 1)
    nodes = [world.node(number) for number in range(4)]
    for node in nodes:
        lease = node.work()
        assert lease is not None
        node.holds[old] = 0
        assert node.submit(lease).status_code == 200
    stage = job_spec().stage.model_copy(update={"groups_per_round": 16})
    new = world.submit(spec(name="new", stage=stage), 2)
    for node in nodes:
        if (lease := node.work()) is not None and isinstance(lease.task, TrainTask):
            node.do(lease)
    assert run(world, nodes, new)["state"] == "completed"
    assert run(world, nodes, old)["state"] == "completed"


def test_a_cheap_job_still_comes_to_its_end_beside_a_dear_one_without_end(world: World) -> None:
    """It pays a fifth, and the dear one always has work: it gets a sixth of the workers, for training too."""
    endless = job_spec().stage.model_copy(update={"groups_per_round": 4096})
    dear = spec(name="dear", stage=endless, prices=Prices(rollout_token=500, trained_token=500))
    cheap = spec(name="cheap", prices=Prices(rollout_token=100, trained_token=100))
    first, second = world.submit(dear, 1), world.submit(cheap, 2)
    nodes = [world.node(number) for number in range(6)]
    assert run(world, nodes, second, turns=60)["state"] == "completed"
    assert world.job(first)["traces_accepted"] > 0


def test_free_training_takes_nobody_who_waits_for_work_that_pays(world: World) -> None:
    free = world.submit(spec(name="free", prices=FREE), 1)
    gone, *nodes = [world.node(number) for number in (1, 2, 3)]
    while (lease := gone.work()) is not None and isinstance(lease.task, RolloutTask):
        assert gone.submit(lease).status_code == 200
    world.tick(100)
    for node in nodes:
        assert node.work("rollout") is None
    paying = world.submit(spec(name="paying"), 2)
    for node in (*nodes, nodes[0]):
        lease = node.work("rollout")
        assert lease is not None
        assert lease.job_id == paying
        node.holds[paying] = 0
        assert node.submit(lease).status_code == 200
    training = nodes[0].work("train")
    assert training is not None
    assert (training.job_id, isinstance(training.task, TrainTask)) == (paying, True)
    assert world.job(free)["phase"] == "train"
    for _ in range(5):
        assert nodes[1].work() is None
        world.tick(1)
    assert nodes[0].do(training).status_code == 202
    assert run(world, nodes, paying)["state"] == "completed"
    assert run(world, nodes, free)["state"] == "completed"


def test_workers_that_only_say_that_they_hold_a_job_crowd_nobody_out(world: World) -> None:
    """Ten of them claim the first job's version, so that it seems to have workers enough."""
    first, _second = world.submit(spec(name="first"), 1), world.submit(spec(name="second"), 2)
    for number in range(10, 20):
        idler = world.node(number)
        idler.holds[first] = 0
        body = {"capabilities": ["train"], "holds": idler.holds, "wait": 0}
        assert idler.post("/v1/work", json.dumps(body)).json()["lease"] is None
    lease = world.node(1).work()
    assert lease is not None
    assert lease.job_id == first, "the oldest of two that pay alike and have nobody"


def test_who_avoids_a_job_is_not_drawn_into_its_training(world: World) -> None:
    """A host that couldn't work on a job would fail at its training too, and be blamed for it."""
    job_id = world.submit(spec(name="poison"), 1)
    wary, other = world.node(1), world.node(2)
    body = json.dumps({"capabilities": ["rollout", "train"], "without": [job_id], "wait": 0})
    while (lease := other.work("rollout")) is not None:
        assert other.submit(lease).status_code == 200
        assert wary.post("/v1/work", body).json()["lease"] is None
    lease = other.work()
    assert lease is not None
    assert isinstance(lease.task, TrainTask)
    assert [slot.worker for slot in lease.task.slots] == [other.worker]
    assert wary.post("/v1/work", body).json()["lease"] is None


def test_a_fault_in_one_job_breaks_nobodys_request(world: World) -> None:
    """What one job's rows hold makes its every step fail; workers get work of the other, and the tick ends it."""
    bad, good = world.submit(spec(name="bad"), 1), world.submit(spec(name="good"), 2)
    first = world.node(1)
    lease = first.work()
    assert lease is not None
    assert lease.job_id == bad
    assert first.submit(lease).status_code == 200
    world.tick(1)
    with world.services.db.write() as s:
        assert s.execute(update(AttemptRow).values(task="{")).rowcount == 1  # type: ignore[attr-defined]
        s.execute(update(AttemptRow).values(state="abandoned", ended_at=0.0))
        s.execute(update(LeaseRow).where(LeaseRow.kind == "train").values(state="revoked"))
    other: Node = world.node(2)
    found = other.work()
    assert found is not None
    assert found.job_id == good
    assert isinstance(found.task, RolloutTask)
    assert first.work() is None or first.work() is not None, "no 500"
    world.tick(1)
    assert world.job(bad)["state"] == "failed"
    assert "fault" in world.job(bad)["error"]
    assert run(world, [first, other], good)["state"] == "completed"


def test_a_price_that_the_budget_cannot_pay_is_no_price() -> None:
    honest = price_of(spec())
    assert (honest.rollout, honest.trained) == (1000, 500)
    boast = price_of(spec(budget=1, prices=Prices(rollout_token=10**30, trained_token=10**30)))
    assert (boast.rollout, boast.trained) == (0, 0)
    long = job_spec(evaluation=Evaluation(problems=100_000), budget=10**6)
    assert price_of(long).rollout < 1000, "a first evaluation that eats the budget counts too"


WORTHS = st.lists(st.integers(1, 1000).map(Fraction), min_size=1, max_size=6)


@given(worths=WORTHS, workers=st.integers(0, 60))
def test_fair_share_never_starves(worths: list[Fraction], workers: int) -> None:
    """Workers that come one after another fill every job up to its share of the prices, rounded down, at least."""
    active = Counter[str]()
    for _ in range(workers):
        choices = [Choice(f"{n}", worth, active[f"{n}"]) for n, worth in enumerate(worths)]
        active[ranked([*choices, Choice("free", Fraction(0), 0)])[0].job_id] += 1
    total = sum(worths)
    for n, worth in enumerate(worths):
        assert active[f"{n}"] >= int(workers * worth / total)
    assert active["free"] == 0


@settings(deadline=None)
@given(worths=st.lists(st.integers(0, 50).map(Fraction), min_size=2, max_size=5), workers=st.integers(1, 20))
def test_workers_that_hold_one_job_are_drawn_to_the_others_and_come_to_rest(
    worths: list[Fraction], workers: int
) -> None:
    """All begin at the first job. Each asks in turn, until none moves any more; then nobody is far from the shares."""
    at = [0] * workers
    for _turn in range(20 * workers + 20):
        moved = False
        for worker in range(workers):
            active = Counter(place for other, place in enumerate(at) if other != worker)
            held = Choice(f"{at[worker]}", worths[at[worker]], active[at[worker]], held=True)
            others = [Choice(f"{n}", worth, active[n]) for n, worth in enumerate(worths) if n != at[worker]]
            drawn = [other for other in others if draws_away(held, other)]
            if drawn:
                at[worker], moved = int(ranked(drawn)[0].job_id), True
        if not moved:
            break
    active = Counter(at)
    assert not moved
    paying = [n for n, worth in enumerate(worths) if worth]
    if paying:
        assert sum(active[n] for n in paying) == workers, "nobody stays with what pays nothing"
    for n in paying:
        assert active[n] >= int(workers * worths[n] / sum(worths))

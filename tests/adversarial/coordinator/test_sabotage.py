"""Threat model, 4: whoever breaks attempts, leases or versions is found by what it does, not by what it says, and stops
no job as long as one honest trainer is there. Each test states the most of the honest training that may be lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1coordinator.scheduling.penalties import TRAIN_LIMIT
from r1coordinator.store.tables import LeaseRow, RateRow
from r1net.protocol.job import Evaluation, Sampling
from r1net.protocol.work import RolloutTask, TrainTask
from tests.adversarial.coordinator.saboteurs import Play, Trick
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import Node, World, run

ROUNDS = 6


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


def submit(world: World, rounds: int = ROUNDS) -> str:
    stage = job_spec().stage.model_copy(update={"rounds": rounds, "groups_per_round": 8})
    return world.submit(job_spec(stage=stage, evaluation=Evaluation(problems=0)))


def play(world: World, honest: int, tricks: list[Trick], rounds: int = ROUNDS) -> Play:
    job_id = submit(world, rounds)
    bad = [(world.node(50 + n), trick) for n, trick in enumerate(tricks)]
    return Play.of(world, job_id, [world.node(n) for n in range(1, honest + 1)], bad)


@pytest.mark.parametrize(
    ("tricks", "most"),
    [
        (["swarm"], 0.4),
        (["swarm"] * 3, 0.5),
        (["own_fault"], 0.4),
        (["own_fault"] * 3, 0.5),
        (["reopen"] * 2, 0.4),
        (["vanish"], 0.0),
        (["vanish", "vanish"], 0.0),
        (["lie"], 0.35),
        (["swarm", "own_fault", "vanish"], 0.5),
    ],
)
def test_one_honest_trainer_carries_the_job_to_its_end(world: World, tricks: list[Trick], most: float) -> None:
    game = play(world, 1, tricks)
    assert game.run() == "completed"
    assert game.lost <= most, f"{game.lost:.0%} of the honest training was lost"
    assert game.standing(game.players[-1]) == {}, "nothing counts against the honest one"


@pytest.mark.parametrize("tricks", [["swarm"], ["own_fault"], ["silent"], ["vanish"], ["lie"]])
def test_honest_trainers_who_are_more_lose_little(world: World, tricks: list[Trick]) -> None:
    game = play(world, 3, tricks)
    assert game.run() == "completed"
    assert game.lost <= 0.3, f"{game.lost:.0%} of the honest training was lost"
    for player in game.players[1:]:
        assert game.standing(player) == {}


def test_who_only_heartbeats_loses_its_groups_and_its_slots_and_gets_neither_again(world: World) -> None:
    """The job takes the deadlines of a few leases longer, and no honest training is lost to whom only beats."""
    game = play(world, 2, ["silent"], rounds=4)
    assert game.run() == "completed"
    assert game.turns * 5 < 4 * 600, "seconds for four rounds"
    assert game.standing(game.players[0]).get("lapsed", 0) >= 1
    assert game.standing(game.players[1]) == game.standing(game.players[2]) == {}


def test_a_lease_that_is_only_kept_alive_goes_to_the_other_at_its_deadline(world: World) -> None:
    world.submit()
    silent, honest = world.node(1), world.node(2)
    kept, done = silent.work(), honest.work()
    assert kept is not None
    assert done is not None
    assert honest.submit(done).status_code == 200
    for _ in range(36):
        world.tick(5)
        silent.heartbeat(kept)
        honest.ask("rollout")
    world.tick(5)
    assert silent.heartbeat(kept)["alive"] is False
    assert silent.ask("rollout").lease is None
    again = honest.work("rollout")
    assert again is not None
    assert isinstance(kept.task, RolloutTask)
    assert isinstance(again.task, RolloutTask)
    assert set(again.task.groups) <= set(kept.task.groups)
    view = next(view for view in world.http.get("/v1/nodes").json() if view["worker"] == silent.worker)
    assert view["reasons"] == {"lapsed": 1}


def test_lapses_bring_pauses_that_double_and_end_training(world: World) -> None:
    """A worker that lets one lease lapse after another, by opening a new session each time."""
    stage = job_spec().stage.model_copy(update={"groups_per_round": 64})
    world.submit(job_spec(stage=stage, evaluation=Evaluation(problems=0)))
    bad, good = world.node(1), world.node(2)
    first = good.work("rollout")
    assert first is not None
    assert good.submit(first).status_code == 200
    waits = []
    for _ in range(6):
        for seconds in range(100):
            good.heartbeat(first)
            if bad.work("rollout") is not None:
                waits.append(seconds)
                break
            world.tick(1)
        assert bad.open().status_code == 200
    assert waits[:2] == [0, 0], "a first lapse costs no time: nodes restart"
    assert all(9 * later >= 16 * earlier for earlier, later in itertools.pairwise(waits[2:])), waits
    answer = bad.ask()
    assert "broken leases" in str(answer.reason)
    view = next(view for view in world.http.get("/v1/nodes").json() if view["worker"] == bad.worker)
    assert view["reasons"] == {"lapsed": 6}
    assert view["standing"] > TRAIN_LIMIT
    assert "pausing" in view["refused"]


def test_a_slot_that_a_live_worker_never_fetches_is_lost_and_charged(world: World) -> None:
    """It beats for a lease that it doesn't have, which shows that it lives, and never asks for its work."""
    submit(world)
    idle, honest = world.node(1), world.node(2)
    to_training_first(world, idle, honest)
    lease = honest.work()
    assert lease is not None
    assert isinstance(lease.task, TrainTask)
    assert len(lease.task.slots) == 2
    for _ in range(14):
        world.tick(10)
        idle.heartbeat(lease)
        honest.heartbeat(lease)
    assert honest.heartbeat(lease)["alive"] is False
    view = next(view for view in world.http.get("/v1/nodes").json() if view["worker"] == idle.worker)
    assert view["reasons"] == {"lapsed": 1}


def to_training_first(world: World, idle: Node, honest: Node) -> None:
    """The first one has asked, and done what it was given; the last groups come from the second one, and open the
    attempt."""
    lease = idle.work()
    assert lease is not None
    assert idle.submit(lease).status_code == 200
    while (lease := honest.work()) is not None and isinstance(lease.task, RolloutTask):
        assert honest.submit(lease).status_code == 200


def test_a_slow_worker_gets_what_it_can_do_in_the_time_that_all_have(world: World) -> None:
    """It is honest, and a hundred times slower than the others: no lease that is bound to lapse."""
    stage = job_spec().stage.model_copy(update={"groups_per_round": 4096})
    sampling = Sampling(max_tokens=12)
    job_id = world.submit(job_spec(stage=stage, sampling=sampling, evaluation=Evaluation(problems=0)))
    nodes = [world.node(number) for number in (1, 2, 3)]
    with world.services.db.write() as s:
        for node, rate in zip(nodes, (0.5, 50.0, 50.0), strict=True):
            s.add(RateRow(job_id=job_id, worker=node.worker, kind="rollout", rate=rate, updated_at=world.clock()))
    sizes, spans = [], []
    for node in nodes:
        lease = node.work()
        assert lease is not None
        assert isinstance(lease.task, RolloutTask)
        sizes.append(len(lease.task.groups))
        with world.services.db.read() as s:
            spans.append(s.get_one(LeaseRow, lease.id).deadline - world.clock())
    assert 2 * sizes[0] * 2 * 12 / 0.5 <= spans[0], "twice what it needs"
    assert sizes[0] < sizes[1] / 10


def test_unbonding_in_the_middle_of_a_job_ends_the_work(world: World) -> None:
    """The trainer's stake is gone while it holds a slot: its lease is taken back, its requests are refused with the
    reason, and the other one goes on. When the stake is back, so is the worker."""
    job_id = submit(world, 3)
    leaver, stayer = world.node(1), world.node(2)
    to_training(world, [leaver, stayer])
    lease, other = leaver.work(), stayer.work()
    assert lease is not None
    assert other is not None
    assert not world.look_at_stakes()
    world.chain.inactive.add(leaver.owner)
    assert world.look_at_stakes()
    answer = leaver.post("/v1/work", '{"capabilities":["train"],"wait":0}')
    assert (answer.status_code, answer.json()["code"]) == (403, "inactive_owner")
    assert "no active stake" in answer.json()["detail"]
    assert leaver.report(lease).status_code == 403
    assert stayer.heartbeat(other)["alive"] is False
    assert leaver.open().json()["code"] == "inactive_owner"
    assert run(world, [stayer], job_id)["state"] == "completed"
    world.chain.inactive.clear()
    world.tick(60)
    assert world.look_at_stakes()
    assert leaver.post("/v1/work", '{"capabilities":["train"],"wait":0}').status_code == 200


def test_a_worker_bound_to_somebody_else_is_done_with(world: World) -> None:
    submit(world)
    node = world.node(1)
    assert node.work() is not None
    world.chain.owners[node.worker] = world.node(2).owner
    assert world.look_at_stakes()
    assert node.post("/v1/work", '{"capabilities":["train"],"wait":0}').json()["code"] == "inactive_owner"


def to_training(world: World, nodes: list[Node]) -> None:
    while True:
        leases = [node.work() for node in nodes]
        if all(lease is not None and isinstance(lease.task, TrainTask) for lease in leases):
            return
        for node, lease in zip(nodes, leases, strict=True):
            if lease is not None:
                assert node.submit(lease).status_code == 200


def test_three_workers_of_one_owner_do_not_outvote_two_honest_ones(world: World) -> None:
    job_id = submit(world)
    many = [world.node(n, owner=9) for n in (1, 2, 3)]
    honest = [world.node(n) for n in (4, 5)]
    to_training(world, [*many, *honest])
    for node in many:
        lease = node.work()
        assert lease is not None
        node.report(lease, flavour="theirs")
    assert world.job(job_id)["version"]["number"] == 0
    for node in honest:
        lease = node.work()
        assert lease is not None
        node.report(lease)
    for node in honest:
        lease = node.work()
        assert lease is not None
        assert node.publish(lease).status_code == 200
    digests = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"][0]["digests"]
    version = world.job(job_id)["version"]["policy"]
    assert {node.worker for node in honest} == {worker for worker, digest in digests.items() if digest == version}


def test_workers_of_one_owner_are_limited_by_its_stake(world: World) -> None:
    each = world.settings.workers_per_stake
    for number in range(each):
        assert Node(world, number, owner=9).open().status_code == 200
    late = Node(world, 90, owner=9)
    answer = late.open()
    assert (answer.status_code, answer.json()["code"]) == (403, "too_many_workers")
    assert f"good for {each}" in answer.json()["detail"]
    assert Node(world, 0, owner=9).open().status_code == 200, "one that is there may open anew"
    assert world.node(91).session_id, "others have slots of their own"
    world.chain.minimum_stakes[late.owner] = 2
    assert late.open().status_code == 200


def test_a_stake_that_shrinks_takes_slots_away(world: World) -> None:
    submit(world)
    owner = Node(world, 0, owner=9).owner
    world.chain.minimum_stakes[owner] = 2
    nodes = [world.node(number, owner=9) for number in range(10)]
    world.chain.minimum_stakes[owner] = 1
    assert world.look_at_stakes()
    reasons = [str(node.ask("rollout").reason) for node in nodes]
    assert sum("good for 8 workers" in reason for reason in reasons) == 2

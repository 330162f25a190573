"""Dynamic sampling: more groups are drawn until enough differ in reward, and only those are trained on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from r1coordinator.scheduling.rollout import Demand, Pool, share
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.tables import TraceRow
from r1net.protocol.job import Evaluation, JobSpec
from r1net.protocol.work import RolloutTask, TrainTask
from r1net.shaping import deviation, has_spread, shaped_reward
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import Node, World, run
from tests.unit.coordinator.test_no_reward import EXACT, PUZZLES


def choosy(**changes: Any) -> JobSpec:
    """A job that draws up to three times as many groups as it trains on."""
    stage = job_spec().stage.model_copy(update={"dynamic_sampling": 3, "overlong_buffer": 4})
    return job_spec(stage=stage, evaluation=Evaluation(problems=0), **changes)


@given(st.data())
def test_a_pool_fills_whatever_is_lost_and_never_overdraws(data: st.DataObject) -> None:
    """Leases are given, lost and done in any order; which groups have spread is fixed beforehand."""
    wanted, times = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    demand = Demand("train", 0, wanted, wanted * times, 2)
    spread = data.draw(st.sets(st.integers(0, demand.limit - 1)))
    leases: list[frozenset[int]] = []
    done: frozenset[int] = frozenset()
    losses = 5
    while True:
        counting = done & spread if demand.selective else done
        pool = Pool(demand, frozenset().union(*leases), done, counting)
        assert len(pool.counting) + len(pool.active) <= wanted
        if pool.complete:
            break
        assert pool.free or leases, "neither work nor anything to wait for"
        if pool.free and (not leases or data.draw(st.booleans())):
            leases.append(frozenset(pool.free[: share(len(pool.free), data.draw(st.integers(1, 3)), 99)]))
            continue
        ended = leases.pop(data.draw(st.integers(0, len(leases) - 1)))
        if losses and data.draw(st.booleans()):
            losses -= 1
        else:
            done |= ended
    assert not leases
    if not demand.selective:
        assert pool.chosen == tuple(range(wanted))
    else:
        assert pool.chosen == tuple(sorted(done & spread))
        assert len(pool.chosen) == wanted or done == frozenset(range(demand.limit))


def test_lost_groups_come_again_before_new_ones() -> None:
    demand = Demand("train", 0, 4, 12, 2)
    one_lost = Pool(demand, active=frozenset({0}), done=frozenset({2, 3}), counting=frozenset({2}))
    assert one_lost.free == (1, 4)


def to_training(world: World, nodes: list[Node]) -> list[TrainTask]:
    """Roll out until everybody is to train."""
    for _ in range(50):
        leases = [node.work() for node in nodes]
        for node, lease in zip(nodes, leases, strict=True):
            if lease is not None and isinstance(lease.task, RolloutTask):
                assert node.submit(lease).status_code == 200
        tasks = [lease.task for lease in leases if lease is not None and isinstance(lease.task, TrainTask)]
        if len(tasks) == len(nodes):
            return tasks
    raise AssertionError("the round never came to training")


def traces_of(world: World, round_: int = 0) -> list[TraceRow]:
    """The admitted traces of a round."""
    with world.services.db.read() as s:
        return list(s.scalars(select(TraceRow).where(TraceRow.round == round_).order_by(TraceRow.group)))


def test_a_round_draws_on_until_enough_groups_differ(world: World) -> None:
    spec = choosy()
    world.submit(spec)
    task, other = to_training(world, [world.node(1), world.node(2)])
    assert task == other
    rows = traces_of(world)
    shaped: dict[int, list[float | None]] = {}
    for row in rows:
        shaped.setdefault(row.group, []).append(shaped_reward(spec, row.reward, row.tokens))
    differing = sorted(group for group, rewards in shaped.items() if has_spread(rewards))
    assert task.groups == tuple(differing)
    assert len(differing) == spec.stage.groups_per_round < len(shaped) <= 12
    counted = [row for row in rows if row.group in differing]
    assert (task.tokens, task.sequences) == (sum(row.tokens for row in counted), 8)
    assert task.reward_std == deviation(reward for group in differing for reward in shaped[group])


def test_everything_drawn_is_paid_and_only_what_counts_is_trained(world: World) -> None:
    job_id = world.submit(choosy())
    nodes = [world.node(1), world.node(2)]
    assert run(world, nodes, job_id)["state"] == "completed"
    Settler(world.services.db, world.chain, world.settings).step()
    report = world.http.get("/v1/epochs/1/report").json()["jobs"][0]
    accepted = [row for number in (0, 1) for row in traces_of(world, number)]
    assert len(report["trace_digests"]) == len(accepted) > 16
    paid = {"rollout": 0, "training": 0}
    for row in report["contributions"]:
        paid[row["kind"]] += row["tokens"]
    assert paid["rollout"] == sum(row.tokens for row in accepted) > paid["training"]
    for record in world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"]:
        drawn, trained = record["metrics"]["groups/drawn"], record["metrics"]["groups/trained"]
        assert trained == 4 or (drawn == 12 and trained < 4)
        assert record["traces"] == drawn * 2


def test_the_draw_ends_at_the_cap_and_the_round_goes_on(world: World) -> None:
    """Where nothing can be told apart, three times the groups are drawn, none is trained on, and the job ends."""
    job_id = world.submit(choosy(environment=PUZZLES, rewards=(EXACT,)))
    view = run(world, [world.node(1), world.node(2)], job_id)
    assert (view["state"], view["traces_accepted"]) == ("completed", 2 * 12 * 2)
    metrics = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"][0]["metrics"]
    assert (metrics["groups/drawn"], metrics["groups/trained"]) == (12.0, 0.0)


def test_no_more_groups_are_leased_than_are_missing(world: World) -> None:
    world.submit(choosy())
    leases = [world.node(number).work("rollout") for number in (1, 2, 3, 4, 5, 6)]
    groups = [group for lease in leases if lease for group in lease.task.groups]  # type: ignore[union-attr]
    assert sorted(groups) == [0, 1, 2, 3]


def test_a_lost_lease_does_not_stop_the_draw(world: World) -> None:
    job_id = world.submit(choosy())
    lost, node = world.node(1), world.node(2)
    lease = lost.work("rollout")
    assert lease is not None
    lost.heartbeat(lease)
    world.tick(61)
    assert run(world, [node], job_id)["state"] == "completed"
    assert {row.group for row in traces_of(world)} >= set(lease.task.groups)  # type: ignore[union-attr]


@pytest.mark.parametrize("workers", [1, 2])
def test_without_dynamic_sampling_every_group_counts(world: World, workers: int) -> None:
    world.submit(job_spec(evaluation=Evaluation(problems=0)))
    tasks = to_training(world, [world.node(number) for number in range(1, workers + 1)])
    rows = traces_of(world)
    assert {task.groups for task in tasks} == {None}
    assert {(task.tokens, task.sequences) for task in tasks} == {(sum(row.tokens for row in rows), 8)}
    assert {task.reward_std for task in tasks} == {deviation(row.reward for row in rows)}

"""The coordinator dies without warning and starts again on what is on disk."""

from __future__ import annotations

import pytest

from r1coordinator.settlement.sender import Settler
from r1coordinator.store.database import Database, require_head
from r1net.errors import PreflightError
from r1net.protocol.work import RolloutTask, TrainTask
from tests.unit.coordinator.network import World, run


def restart(world: World, down: float) -> None:
    world.kill()
    world.clock.time += down
    world.start()


def test_a_job_goes_on_after_a_restart_between_any_two_requests(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    for _ in range(60):
        if world.job(job_id)["state"] == "completed":
            break
        for node in nodes:
            lease = node.work()
            restart(world, 0.5)
            if lease is not None:
                assert node.do(lease).status_code in (200, 202)
                restart(world, 0.5)
        world.tick(1)
    view = world.job(job_id)
    assert (view["state"], view["traces_accepted"]) == ("completed", 22)
    earned = [world.http.get(f"/v1/accounts/{node.owner}/rewards").json()["earnings"] for node in nodes]
    assert sum(row["kind"] == "training" for rows in earned for row in rows) == 4


def test_leases_and_sessions_outlive_a_long_outage(world: World) -> None:
    world.submit()
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    assert node.heartbeat(lease)["alive"] is True
    restart(world, 3600)
    world.tick()
    assert node.heartbeat(lease)["alive"] is True
    assert node.submit(lease).status_code == 200


def test_an_outage_does_not_make_trainers_lost(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    while world.job(job_id)["phase"] != "train":
        for node in nodes:
            lease = node.work()
            if lease is not None and isinstance(lease.task, RolloutTask):
                assert node.do(lease).status_code == 200
    restart(world, 600)
    world.tick()
    for node in nodes:
        lease = node.work()
        assert lease is not None
        assert isinstance(lease.task, TrainTask)
        assert (lease.task.attempt, len(lease.task.slots)) == (1, 2)


def test_what_was_being_received_is_forgotten(world: World) -> None:
    rest = world.folder / "blobs" / "incoming" / "half"
    rest.write_bytes(b"half a file")
    restart(world, 1)
    assert not rest.exists()


def test_settlement_goes_on_after_a_restart_and_happens_once(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.lose_answers = True
    for _ in range(4):
        Settler(world.services.db, world.chain, world.settings).step()
        restart(world, 1)
    assert world.chain.sent == [("propose", 1), ("finalise", 1)]
    assert world.http.get("/v1/epochs").json()[0]["state"] == "final"


def test_an_empty_database_is_not_served() -> None:
    with pytest.raises(PreflightError, match="empty") as caught:
        require_head(Database("sqlite://"))
    assert caught.value.hint == "run `r1coordinator migrate`"


def test_a_version_whose_only_holder_restarts_is_made_again(world: World) -> None:
    job_id = world.submit()
    node = world.node(1)
    while not world.publishing():
        lease = node.work()
        assert lease is not None
        node.do(lease)
    restart(world, 1)
    node.open()
    assert world.job(job_id)["version"]["number"] == 0
    assert world.http.get(f"/v1/jobs/{job_id}/rounds/0/attempts/1/outcome").json()["state"] == "abandoned"
    assert run(world, [node], job_id)["state"] == "completed"

"""The state machine over HTTP: lost nodes, failed attempts, no majority, publishing."""

from __future__ import annotations

from r1coordinator.settlement.sender import Settler
from r1net.protocol.canonical import sha256
from r1net.protocol.work import Lease, PublishTask, RolloutTask, TrainTask
from tests.unit.coordinator.jobs import file_of, job_spec
from tests.unit.coordinator.network import Node, World, publish_all, run

NO_EVALUATION = {"evaluation": job_spec().evaluation.model_copy(update={"problems": 0})}


def to_training(world: World, *numbers: int) -> tuple[str, list[Node], list[Lease]]:
    """A job whose first round waits for its trainers."""
    job_id = world.submit(job_spec(**NO_EVALUATION))
    nodes = [world.node(number) for number in numbers]
    leases = [node.work() for node in nodes]
    for node, lease in zip(nodes, leases, strict=True):
        if lease is not None:
            assert node.submit(lease).status_code == 200
    found = [node.work() for node in nodes]
    assert all(lease is not None and isinstance(lease.task, TrainTask) for lease in found)
    return job_id, nodes, [lease for lease in found if lease is not None]


def outcome(world: World, job_id: str, attempt: int) -> dict[str, object]:
    answer: dict[str, object] = world.http.get(f"/v1/jobs/{job_id}/rounds/0/attempts/{attempt}/outcome").json()
    return answer


def test_work_spreads_over_the_live_workers(world: World) -> None:
    world.submit(job_spec(**NO_EVALUATION))
    first, second = world.node(1), world.node(2)
    groups = []
    for node in (first, second):
        lease = node.work()
        assert lease is not None
        assert isinstance(lease.task, RolloutTask)
        groups.append(lease.task.groups)
    assert groups == [(0, 1), (2, 3)]


def test_workers_spread_over_the_jobs_and_stay_with_the_one_whose_version_they_hold(world: World) -> None:
    first, second = world.submit(job_spec(**NO_EVALUATION)), world.submit(job_spec(name="second"), 2)
    nodes = [world.node(number) for number in (1, 2, 3)]
    leases = [node.work() for node in nodes]
    assert [lease.job_id for lease in leases if lease] == [first, second, first]
    nodes[0].holds[first] = 0
    assert leases[0] is not None
    assert nodes[0].submit(leases[0]).status_code == 200
    assert nodes[0].work() is None


def test_asking_again_brings_the_same_lease(world: World) -> None:
    world.submit()
    node = world.node(1)
    first, second = node.work(), node.work()
    assert first is not None
    assert second is not None
    assert first.id == second.id


def test_a_lease_that_is_asked_for_but_never_done_goes_to_somebody_else(world: World) -> None:
    world.submit()
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    node.heartbeat(lease)
    for _ in range(4):
        again = node.work()
        assert again is not None
        assert again.id == lease.id
    assert node.work() is None
    other = world.node(2).work()
    assert other is not None
    assert set(other.task.groups) <= set(lease.task.groups)  # type: ignore[union-attr]


def test_groups_of_a_lost_worker_return_to_the_pool(world: World) -> None:
    job_id = world.submit()
    lost, node = world.node(1), world.node(2)
    lease = lost.work()
    assert lease is not None
    lost.heartbeat(lease)
    world.tick(61)
    assert lost.heartbeat(lease)["alive"] is False
    assert lost.submit(lease).json()["code"] == "stale_lease"
    assert run(world, [node], job_id)["state"] == "completed"


def test_heartbeats_keep_a_lease_up_to_its_deadline(world: World) -> None:
    world.submit()
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    for _ in range(3):
        world.tick(50)
        assert node.heartbeat(lease)["alive"] is True
    world.tick(50)
    answer = node.heartbeat(lease)
    assert (answer["alive"], answer["reason"]) == (False, "not done before its deadline")


def test_both_trainers_agree(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    task = leases[0].task
    assert isinstance(task, TrainTask)
    assert [slot.worker for slot in task.slots] == sorted((node.worker for node in nodes), key=str.lower)
    assert nodes[0].report(leases[0]).status_code == 202
    assert outcome(world, job_id, 1)["state"] == "pending"
    assert nodes[0].heartbeat(leases[0])["alive"] is True
    assert nodes[1].report(leases[1]).status_code == 202
    publish_all(world, nodes)
    found = outcome(world, job_id, 1)
    assert (found["state"], found["version"]["number"]) == ("agreed", 1)  # type: ignore[index]
    assert nodes[0].heartbeat(leases[0])["alive"] is True
    assert world.job(job_id)["round"] == 1


def test_without_a_majority_the_attempt_is_given_up_and_tried_again(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    nodes[0].report(leases[0])
    nodes[1].report(leases[1], flavour="!")
    found = outcome(world, job_id, 1)
    assert (found["state"], found["version"]) == ("abandoned", None)
    answer = nodes[0].heartbeat(leases[0])
    assert answer["alive"] is False
    assert "majority" in answer["reason"]
    again = [(node, lease) for node in nodes if (lease := node.work()) is not None]
    ((node, lease),) = again
    assert isinstance(lease.task, TrainTask)
    assert (lease.task.attempt, len(lease.task.slots)) == (2, 1)
    assert node.report(lease).status_code == 202
    publish_all(world, [node])
    assert outcome(world, job_id, 2)["state"] == "agreed"
    assert nodes[0].report(leases[0], flavour="?").json()["code"] == "stale_lease"


def test_the_survivor_of_two_goes_on_alone(world: World) -> None:
    job_id, (dead, survivor), leases = to_training(world, 1, 2)
    dead.heartbeat(leases[0])
    survivor.report(leases[1])
    for _ in range(8):
        world.tick(9)
        survivor.heartbeat(leases[1])
    assert outcome(world, job_id, 1)["state"] == "abandoned"
    lease = survivor.work()
    assert lease is not None
    assert isinstance(lease.task, TrainTask)
    assert [slot.worker for slot in lease.task.slots] == [survivor.worker]
    assert len(lease.task.slots[0].bundles) == 2
    assert survivor.report(lease).status_code == 202
    publish_all(world, [survivor])
    assert outcome(world, job_id, 2)["state"] == "agreed"


def test_a_dead_peer_does_not_use_up_the_attempts(world: World) -> None:
    job_id, (_dead, survivor), leases = to_training(world, 1, 2)
    world.clock.time += 5
    survivor.fail(leases[1], "averaging_broken")
    world.tick(1)
    assert survivor.work() is None
    for _ in range(4):
        world.tick(4)
        lease = survivor.work()
    assert lease is not None
    assert isinstance(lease.task, TrainTask)
    assert (lease.task.attempt, len(lease.task.slots)) == (2, 1)
    assert world.job(job_id)["state"] == "running"


def test_a_trainer_with_a_fault_of_its_own_sits_the_next_attempt_out(world: World) -> None:
    _, (bad, good), leases = to_training(world, 1, 2)
    bad.fail(leases[0], "nan_gradient")
    assert good.heartbeat(leases[1])["alive"] is False
    assert bad.work() is None
    lease = good.work()
    assert lease is not None
    assert isinstance(lease.task, TrainTask)
    assert [slot.worker for slot in lease.task.slots] == [good.worker]


def test_a_job_fails_after_too_many_attempts_and_says_why(world: World) -> None:
    job_id, (node,), (lease,) = to_training(world, 1)
    for attempt in range(1, 13):
        assert isinstance(lease.task, TrainTask)
        assert lease.task.attempt == attempt
        assert node.fail(lease, "nan_gradient").status_code == 200
        if attempt == 12:
            break
        found = node.work()
        if attempt > 1:
            assert found is None, "a pause before the next try"
            world.tick(610)
            found = node.work()
        assert found is not None
        lease = found
    assert node.ask().reason == "no job is running"
    assert world.http.get("/v1/nodes").json()[0]["standing"] == 0, "a job that nobody could train blames nobody"
    view = world.job(job_id)
    assert view["state"] == "failed"
    assert "10 training attempts failed" in view["error"]
    assert "nan_gradient" in view["error"]
    assert [due["state"] for due in world.http.get(f"/v1/jobs/{job_id}/dues").json()] == ["waiting"]


def test_the_train_deadline_ends_an_attempt(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    nodes[0].report(leases[0])
    for _ in range(4):
        world.tick(50)
        for node, lease in zip(nodes, leases, strict=True):
            node.heartbeat(lease)
    found = outcome(world, job_id, 1)
    assert found["state"] == "abandoned"
    assert "deadline" in str(found["reason"])


def test_whoever_comes_to_another_version_is_unpaid_and_answers_for_it(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2, 3)
    nodes[2].report(leases[2], flavour="!")
    nodes[0].report(leases[0])
    nodes[1].report(leases[1])
    publish_all(world, nodes[:2])
    assert outcome(world, job_id, 1)["state"] == "agreed"
    reasons = {row["worker"]: row["reasons"] for row in world.http.get("/v1/nodes").json()}
    assert [reasons[node.worker] for node in nodes] == [{}, {}, {"another_version": 1}]
    earnings = world.http.get(f"/v1/accounts/{nodes[2].owner}/rewards").json()["earnings"]
    assert "training" not in [row["kind"] for row in earnings]


def test_a_late_report_of_the_agreed_version_is_paid(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2, 3)
    nodes[0].report(leases[0])
    nodes[1].report(leases[1])
    publish_all(world, nodes[:2])
    assert outcome(world, job_id, 1)["state"] == "agreed"
    assert nodes[2].report(leases[2]).status_code == 202
    digests = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"][0]["digests"]
    assert set(digests) == {node.worker for node in nodes}
    for node in nodes:
        earnings = world.http.get(f"/v1/accounts/{node.owner}/rewards").json()["earnings"]
        assert [row["kind"] for row in earnings].count("training") == 1


def test_reporting_twice_counts_once_and_another_version_is_refused(world: World) -> None:
    _, nodes, leases = to_training(world, 1, 2)
    assert nodes[0].report(leases[0]).status_code == 202
    assert nodes[0].report(leases[0]).status_code == 202
    assert nodes[0].report(leases[0], flavour="?").json()["code"] == "stale_lease"


def test_nan_metrics_are_refused_and_harm_nothing(world: World) -> None:
    _, nodes, leases = to_training(world, 1)
    good = nodes[0].report(leases[0], metrics={"loss": 1.0})
    body = good.request.content.replace(b"1.0", b"NaN")
    bad = nodes[0].post(f"/v1/leases/{leases[0].id}/train", body)
    assert bad.status_code in (400, 422)
    assert good.status_code == 202


def test_a_new_session_takes_the_old_process_leases_back(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    nodes[0].open()
    assert outcome(world, job_id, 1)["state"] == "abandoned"
    assert nodes[1].heartbeat(leases[1])["alive"] is False


def orders(world: World, nodes: list[Node]) -> tuple[tuple[Node, Lease], tuple[Node, Lease]]:
    """Who is to upload, and who to prove."""
    found = [(node, lease) for node in nodes if (lease := node.work()) is not None]
    tasks = {lease.task.salt is None: (node, lease) for node, lease in found if isinstance(lease.task, PublishTask)}
    return tasks[True], tasks[False]


def test_a_version_counts_when_one_has_uploaded_it_and_another_proved_to_hold_it(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    for node, lease in zip(nodes, leases, strict=True):
        node.report(lease)
    late = world.node(3)
    assert late.work() is None
    named = outcome(world, job_id, 1)["publish"]
    (uploader, upload), (prover, proof) = orders(world, nodes)
    told = {(order["worker"], order["lease_id"]) for order in named}  # type: ignore[attr-defined]
    assert told == {(uploader.worker, upload.id), (prover.worker, proof.id)}
    assert uploader.post(f"/v1/leases/{upload.id}/published").json()["code"] == "missing_blobs"
    assert prover.post(f"/v1/leases/{proof.id}/published").json()["code"] == "wrong_kind"
    assert prover.prove(proof).status_code == 200
    assert outcome(world, job_id, 1)["state"] == "pending"
    assert uploader.publish(upload).status_code == 200
    assert outcome(world, job_id, 1)["state"] == "agreed"
    joined = late.work()
    assert joined is not None
    assert isinstance(joined.task, RolloutTask)
    assert joined.task.version.number == 1


def test_a_publisher_that_lapses_is_replaced_and_not_paid(world: World) -> None:
    job_id, nodes, leases = to_training(world, 1, 2)
    for node, lease in zip(nodes, leases, strict=True):
        node.report(lease)
    (lazy, upload), (other, proof) = orders(world, nodes)
    assert other.prove(proof).status_code == 200
    for _ in range(5):
        world.tick(50)
        lazy.heartbeat(upload)
        other.post("/v1/work", '{"capabilities":["rollout"],"wait":0}')
    second = other.work()
    assert second is not None
    assert isinstance(second.task, PublishTask)
    assert second.task.salt is None
    assert other.publish(second).status_code == 200
    assert outcome(world, job_id, 1)["state"] == "agreed"
    paid = {
        node.worker: [
            row["kind"] for row in world.http.get(f"/v1/accounts/{node.owner}/rewards").json()["earnings"]
        ].count("training")
        for node in nodes
    }
    assert paid == {lazy.worker: 0, other.worker: 1}
    views = {view["worker"]: view for view in world.http.get("/v1/nodes").json()}
    assert views[lazy.worker]["reasons"] == {"not_published": 1}
    assert views[other.worker]["reasons"] == {}


def test_old_optimizer_states_are_forgotten(world: World) -> None:
    stage = job_spec().stage.model_copy(update={"rounds": 4})
    job_id = world.submit(job_spec(stage=stage))
    assert run(world, [world.node(1)], job_id)["state"] == "completed"
    kept = [n for n in range(1, 5) if world.services.blobs.has(sha256(file_of(n, "optimizer")))]
    assert kept == [3, 4]


def test_an_epoch_closes_every_few_rounds(world: World) -> None:
    stage = job_spec().stage.model_copy(update={"rounds": 4})
    job_id = world.submit(job_spec(stage=stage, epoch_rounds=2))
    assert run(world, [world.node(1)], job_id)["state"] == "completed"
    for _ in range(2):
        Settler(world.services.db, world.chain, world.settings).step()
    spans = [world.http.get(f"/v1/epochs/{n}/report").json()["jobs"][0]["rounds"] for n in (1, 2)]
    assert spans == [[0, 2], [2, 4]]
    assert world.http.get("/v1/epochs/3/report").status_code == 404

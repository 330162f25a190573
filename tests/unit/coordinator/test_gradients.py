"""Checked training over HTTP: commitments, the draw, statements that must add up, votes on them, and who answers."""

from __future__ import annotations

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from r1coordinator.scheduling.standing import reasons
from r1coordinator.store.tables import ContributionRow, GradientRow, WorkerRow
from r1coordinator.verification import draw
from r1coordinator.verification.draw import misstated
from r1coordinator.verification.sums import add_up, fits_norm
from r1net import draws
from r1net.errors import ProtocolError
from r1net.protocol.evidence import GradientFinding
from r1net.protocol.gradients import BUCKETS, GradientStatement, SignedStatement, pack, unpack
from r1net.protocol.job import PolicyVersion, Verification
from r1net.protocol.merkle import verify
from r1net.protocol.work import AttemptOutcome, Lease, RecomputeTask, TrainTask, VerifyTask, Vote, WorkAnswer
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import Node, World, publish_all, sketch_of
from tests.unit.coordinator.test_checks import cast, checks, turn, vote

NO_EVALUATION = job_spec().evaluation.model_copy(update={"problems": 0})
CHECKED = job_spec(verification=Verification(rate=1, training_rate=1), evaluation=NO_EVALUATION)


@pytest.fixture(autouse=True)
def no_plants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "plant_rate", lambda *_: 0.0)


def outcome(world: World, lease: Lease) -> AttemptOutcome:
    task = lease.task
    assert isinstance(task, TrainTask)
    path = f"/v1/jobs/{lease.job_id}/rounds/{task.round}/attempts/{task.attempt}/outcome"
    return AttemptOutcome.parse(world.http.get(path).content)


def votes_in(world: World, nodes: list[Node], *faults: str, turns: int = 20) -> None:
    """Whoever is asked votes on submissions, with these faults."""
    for _ in range(turns):
        leases = [(node, node.work("verify")) for node in nodes]
        for node, lease in leases:
            if lease is not None and isinstance(lease.task, VerifyTask):
                cast(node, lease, vote(world, lease, *faults))
        if all(lease is None for _, lease in leases):
            return


def training(world: World, count: int = 2) -> tuple[str, list[tuple[Node, Lease]], list[Node]]:
    """A job whose first round is to be trained by the first `count` of four nodes, each with its lease."""
    job_id = world.submit(CHECKED)
    nodes = [world.node(number) for number in range(1, 5)]
    trainers, others = nodes[:count], nodes[count:]
    while leased := [(node, lease) for node in trainers if (lease := node.work("rollout", "train")) is not None]:
        for node, lease in leased:
            assert node.submit(lease).status_code == 200
    turn(world)
    votes_in(world, others)
    leases = [(node, node.work("train")) for node in nodes[:count]]
    found = [(node, lease) for node, lease in leases if lease is not None]
    return job_id, found, nodes


def reported(world: World, slots: list[tuple[Node, Lease]]) -> None:
    """All slots commit, average, step and report; the files are published, and the seed is drawn."""
    for node, lease in slots:
        assert node.report(lease).status_code == 202
    publish_all(world, [node for node, _ in slots])
    turn(world)


def gradient_vote(lease: Lease, *faults: str, version: bool = True) -> Vote:
    assert isinstance(lease.task, RecomputeTask)
    finding = GradientFinding(
        worker=lease.task.worker, tokens=1, norm=1.0, deviation=0.0, usual=0.0, version_holds=version, faults=faults
    )
    return Vote(job_id=lease.job_id, lease_id=lease.id, task=lease.task.digest(), finding=finding)


def voting(world: World, job_id: str, nodes: list[Node], *faults: str, version: bool = True) -> str:
    """Let everybody vote: with these faults on the trainer whose check is the first, whom this returns."""
    accused = min((c["number"], c["worker"]) for c in checks(world, job_id) if c["kind"] == "training")[1]
    while asked := [(node, lease) for node in nodes if (lease := node.work("verify")) is not None]:
        for node, lease in asked:
            if not isinstance(lease.task, RecomputeTask):
                continue
            assert node.worker != lease.task.worker
            bad = lease.task.worker == accused
            said = gradient_vote(lease, *faults if bad else (), version=version or not bad)
            if not cast_if_open(node, lease, said):
                return accused
    return accused


def cast_if_open(node: Node, lease: Lease, said: Vote) -> bool:
    """Vote, unless the lease has ended with its job."""
    if not node.heartbeat(lease)["alive"]:
        return False
    cast(node, lease, said)
    return True


def recomputing(nodes: list[Node]) -> tuple[Node, Lease]:
    for node in nodes:
        lease = node.work("verify")
        if lease is not None:
            assert isinstance(lease.task, RecomputeTask)
            return node, lease
    raise AssertionError("nobody is asked")


def charged(world: World) -> dict[str, dict[str, int]]:
    """Worker -> what was charged to it."""
    with world.services.db.read() as s:
        found = reasons(s)
        return {worker: found.get(worker, {}) for worker in s.scalars(select(WorkerRow.worker))}


def trained(world: World, job_id: str) -> dict[str, int]:
    """Worker -> tokens that it is to be paid for having trained."""
    with world.services.db.read() as s:
        rows = s.scalars(
            select(ContributionRow).where(ContributionRow.job_id == job_id, ContributionRow.kind == "training")
        )
        return {row.worker: row.tokens for row in rows}


def test_nobody_sees_commitments_before_all_have_committed(world: World) -> None:
    _, slots, _ = training(world)
    assert len(slots) == 2
    (one, lease), (other, _) = slots
    assert one.commit(lease).status_code == 200
    assert outcome(world, lease).commitments == ()
    assert other.commit(slots[1][1]).status_code == 200
    assert outcome(world, lease).commitments == tuple(node.commitment(own) for node, own in slots)


def test_a_commitment_stands_and_names_every_section(world: World) -> None:
    _, slots, _ = training(world)
    node, lease = slots[0]
    assert node.commit(lease).status_code == 200
    assert node.commit(lease).status_code == 200
    assert node.commit(lease, norm=2.0).json()["code"] == "committed"
    body = node.commitment(lease).model_copy(update={"lease_id": slots[1][1].id, "sections": ("0x" + "1" * 64,)})
    other = slots[1][0]
    assert (
        other.post(f"/v1/leases/{slots[1][1].id}/gradient", body.model_dump_json()).json()["code"] == "wrong_sections"
    )
    assert node.post(f"/v1/leases/{slots[1][1].id}/gradient", body.model_dump_json()).json()["code"] == "foreign_lease"


def test_no_report_without_a_commitment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, slots, _ = training(world)
    node, lease = slots[0]
    monkeypatch.setattr(node, "commit", lambda _lease: None)
    assert node.report(lease).json()["code"] == "no_commitment"


def test_the_attempt_waits_for_every_statement_and_for_the_votes_on_them(world: World) -> None:
    job_id, slots, nodes = training(world)
    reported(world, slots)
    for node, lease in slots:
        assert outcome(world, lease).state == "pending"
        assert node.state(lease).status_code == 200
    for _ in slots:
        assert outcome(world, slots[0][1]).state == "pending"
        assert trained(world, job_id) == {}
        verifier, lease = recomputing(nodes)
        cast(verifier, lease, gradient_vote(lease))
    assert outcome(world, slots[0][1]).state == "agreed"
    assert [c["state"] for c in checks(world, job_id) if c["kind"] == "training"] == ["holds", "holds"]
    assert set(trained(world, job_id)) == {node.worker for node, _ in slots}


def test_trainers_vote_on_each_other_while_they_wait(world: World) -> None:
    job_id, slots, _ = training(world)
    reported(world, slots)
    for node, lease in slots:
        node.state(lease)
    with world.services.db.write() as s:
        s.execute(update(WorkerRow).values(capabilities=["rollout", "train", "verify"]))
    world.clock.time += 100  # those that were asked before them had their time
    for node, _ in slots:
        body = json.dumps({"capabilities": ["verify"], "only": job_id, "wait": 0})
        answer = WorkAnswer.parse(node.post("/v1/work", body).content)
        lease = answer.lease
        assert lease is not None, answer.reason
        assert isinstance(lease.task, RecomputeTask)
        assert lease.task.worker != node.worker
        cast(node, lease, gradient_vote(lease))
    assert outcome(world, slots[0][1]).state == "agreed"
    with world.services.db.read() as s:
        assert all(set(row.capabilities) != {"verify"} for row in s.scalars(select(WorkerRow)))


def test_anybody_repeats_the_draw(world: World) -> None:
    job_id, slots, _ = training(world)
    reported(world, slots)
    for node, lease in slots:
        node.state(lease)
    for check in checks(world, job_id):
        if check["kind"] == "training":
            seed = draws.seed(world.chain.block_hash(check["block"]), check["traces_root"])
            assert check["seed"] == draws.slot_seed(seed, check["worker"])


def test_a_gradient_that_two_owners_find_wrong_ends_the_attempt_unpaid(world: World) -> None:
    """Its trainer trains no more; the round is trained again without it."""
    job_id, slots, nodes = training(world)
    reported(world, slots)
    for node, lease in slots:
        node.state(lease)
    accused = voting(world, job_id, nodes, "its gradient is another's")
    given_up = outcome(world, slots[0][1])
    assert given_up.state == "abandoned"
    assert accused in (given_up.reason or ""), "it is to blame, though the majority went with it"
    assert trained(world, job_id) == {}
    found = charged(world)
    assert found.pop(accused) == {"failed_check": 1}
    assert not any(found.values())
    view = world.job(job_id)
    assert (view["state"], view["version"]["number"]) == ("running", 0)
    for node, _ in slots:
        node.ask("rollout", "train")
    world.tick(60)
    again = {node.worker: node.work("rollout", "train") for node, _ in slots}
    assert again.pop(accused) is None
    assert all(lease is not None and isinstance(lease.task, TrainTask) for lease in again.values())


def test_whoever_came_to_a_version_that_the_step_does_not_lead_to_is_an_accomplice(world: World) -> None:
    job_id, slots, nodes = training(world)
    reported(world, slots)
    for node, lease in slots:
        node.state(lease)
    voting(world, job_id, nodes, "the weights do not follow", version=False)
    assert outcome(world, slots[0][1]).state == "abandoned"
    found = charged(world)
    assert all(found[node.worker] == {"failed_check": 1} for node, _ in slots)
    assert not any(found[node.worker] for node in nodes[2:])


def test_statements_that_do_not_add_up_are_all_recomputed(world: World) -> None:
    job_id, slots, _ = training(world)
    reported(world, slots)
    for node, lease in slots:
        assert node.state(lease, node.statement(lease, total=sketch_of(5.0))).status_code == 200
    rates = [check["rate"] for check in checks(world, job_id) if check["kind"] == "training"]
    assert rates == [1.0, 1.0]


def test_whoever_stepped_with_another_sum_is_left_out(world: World) -> None:
    job_id, slots, nodes = training(world)
    others = nodes[2:]
    reported(world, slots)
    (honest, lease), (liar, own) = slots
    assert honest.state(lease).status_code == 200
    assert liar.state(own, liar.statement(own, total=sketch_of(5.0))).status_code == 200
    found = outcome(world, lease)
    assert found.state == "abandoned"  # one of two owners is no majority
    assert liar.worker not in trained(world, job_id)
    assert charged(world) == {honest.worker: {}, liar.worker: {"false_statement": 1}} | {
        node.worker: {} for node in others
    }


def test_a_slot_that_never_states_its_gradient_is_given_up(world: World) -> None:
    job_id, slots, _ = training(world)
    reported(world, slots)
    (honest, lease), (silent, _) = slots
    assert honest.state(lease).status_code == 200
    world.tick(24 * 3600)
    assert outcome(world, lease).state == "abandoned"
    assert trained(world, job_id) == {}
    assert charged(world)[silent.worker] == {"lapsed": 1}
    assert charged(world)[honest.worker] == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"seed": "0x" + "1" * 64}, "wrong_statement"),
        ({"task": "0x" + "1" * 64}, "wrong_statement"),
        ({"commitment": "0x" + "1" * 64}, "wrong_statement"),
        ({"norm": 1.0}, "wrong_statement"),
        ({"round": 5}, "wrong_statement"),
        ({"version": PolicyVersion(number=1, policy="0x" + "1" * 64)}, "wrong_version"),
        ({"sketch": sketch_of(2.0)}, "wrong_norm"),
        ({"sketch": sketch_of(0.0)}, "wrong_norm"),
    ],
)
def test_a_statement_about_something_else_is_refused(world: World, changes: dict[str, Any], code: str) -> None:
    _, slots, _ = training(world)
    reported(world, slots)
    node, lease = slots[0]
    assert node.state(lease, node.statement(lease, **changes)).json()["code"] == code


def test_statements_come_after_the_draw_once_and_from_their_worker(world: World) -> None:
    _, slots, _ = training(world)
    (node, lease), (other, own) = slots
    early = node.statement(lease, seed="0x" + "1" * 64)
    assert node.state(lease, early).json()["code"] == "too_early"
    reported(world, slots)
    body = SignedStatement(statement=node.statement(lease), signature="0x" + "1" * 130).model_dump_json()
    assert node.post(f"/v1/leases/{lease.id}/statement", body).json()["code"] == "bad_signature"
    assert node.state(lease).status_code == 200
    assert node.state(lease).status_code == 200
    assert node.state(lease, node.statement(lease, total=sketch_of(3.0))).json()["code"] == "stated"
    assert other.state(own).status_code == 200


def test_what_a_trainer_signed_is_shown_as_evidence(world: World) -> None:
    job_id, slots, _ = training(world)
    reported(world, slots)
    node, lease = slots[0]
    statement = node.statement(lease)
    node.state(lease)
    shown = world.http.get(f"/v1/jobs/{job_id}/traces/{statement.digest()}/submission").json()
    assert (shown["lease_id"], shown["worker"], shown["count"]) == (lease.id, node.worker, 1)
    assert verify(shown["traces_root"], ["bytes32"], (statement.digest(),), shown["proof"])
    assert GradientStatement.parse(world.http.get(f"/v1/blobs/{shown['bundle']}").content) == statement


def test_without_checks_nobody_states_anything(world: World) -> None:
    spec = job_spec(verification=Verification(rate=0), evaluation=NO_EVALUATION)
    job_id = world.submit(spec)
    node = world.node(1)
    while (lease := node.work("rollout")) is not None:
        node.submit(lease)
    lease = node.work("train")
    assert lease is not None
    node.report(lease)
    publish_all(world, [node])
    assert outcome(world, lease).state == "agreed"
    assert set(trained(world, job_id)) == {node.worker}
    with world.services.db.read() as s:
        assert s.scalars(select(GradientRow.statement)).one() is None


def statement_of(worker: str, own: list[float], total: list[float]) -> GradientStatement:
    digest = "0x" + "0" * 64
    vectors = (array("f", values + [0.0] * (BUCKETS - len(values))) for values in (own, total))
    sketch, sums = map(pack, vectors)
    return GradientStatement(
        job_id=digest,
        round=0,
        attempt=1,
        lease_id="x",
        worker=worker,
        task=digest,
        commitment=digest,
        norm=float(sum(x * x for x in own)) ** 0.5,
        seed=digest,
        sketch=sketch,
        total=sums,
        version=PolicyVersion(number=1, policy=digest),
    )


VALUES = st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=8, max_size=8)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_honest_sketches_add_up_in_float32(vectors: list[list[float]]) -> None:
    total = array("f", (sum(column) for column in zip(*vectors, strict=True))).tolist()
    workers = [f"0x{number:040x}" for number in range(len(vectors))]
    found = add_up([statement_of(w, own, total) for w, own in zip(workers, vectors, strict=True)])
    assert found.holds
    assert found.astray == ()


@given(VALUES, VALUES)
def test_a_sum_of_something_else_is_seen(own: list[float], other: list[float]) -> None:
    apart = sum((a - b) ** 2 for a, b in zip(own, other, strict=True)) ** 0.5
    length = sum(a * a for a in own) ** 0.5
    found = add_up([statement_of("0x" + "0" * 40, own, other)])
    if apart > 1e-3 * length:
        assert not found.holds


@given(VALUES)
def test_a_planted_statement_is_of_another_gradient_and_of_the_same_norm(own: list[float]) -> None:
    statement = statement_of("0x" + "0" * 40, own, own)
    planted = misstated(statement)
    assert [abs(x) for x in unpack(planted.sketch)] == [abs(x) for x in unpack(statement.sketch)]
    assert fits_norm(planted) == fits_norm(statement)


@pytest.mark.parametrize("text", ["", "AAAA", "x" * 8, pack(array("f", [float("nan")] * BUCKETS)), "é"])
def test_what_is_no_sketch_is_refused(text: str) -> None:
    with pytest.raises((ProtocolError, ValueError)):
        GradientStatement.parse(
            statement_of("0x" + "0" * 40, [1.0], [1.0]).model_copy(update={"sketch": text}).model_dump_json()
        )

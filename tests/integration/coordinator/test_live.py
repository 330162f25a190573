"""A whole job on a real chain, with everything dying in between."""

from __future__ import annotations

import signal
import time

import httpx
import pytest

from r1net.audit import Sources, audit_epoch
from r1net.chain.provenance import TraceStatus
from r1net.protocol.job import Grpo, JobSpec
from r1net.protocol.settlement import ClaimProof, TraceProof
from r1net.transport import Transport
from r1node.claims import claim_all
from tests.integration.coordinator.conftest import LastingAnvil
from tests.integration.coordinator.live import LiveNode, LiveWorld, until
from tests.unit.coordinator.jobs import job_spec


def spec_for(world: LiveWorld, rounds: int = 4) -> JobSpec:
    return job_spec(
        submitter=world.chain.account.address,  # type: ignore[union-attr]
        payment_token=world.chain.token.address,
        stage=Grpo(rounds=rounds, groups_per_round=6, group_size=2),
    )


def over(world: LiveWorld, job_id: str) -> bool:
    view = world.get(f"/v1/jobs/{job_id}")
    assert view["state"] not in ("failed", "cancelled"), view["error"]
    return bool(view["state"] == "completed")


def settled(world: LiveWorld) -> list[dict[str, object]]:
    epochs: list[dict[str, object]] = world.get("/v1/epochs")
    return epochs if epochs and all(epoch["state"] == "final" for epoch in epochs) else []


def test_killed_again_and_again_the_coordinator_finishes_and_settles_once(world: LiveWorld) -> None:
    job_id = world.submit(spec_for(world))
    nodes = [LiveNode(world, number) for number in (1, 2)]
    for node in nodes:
        node.start()
    for _ in range(4):
        time.sleep(1.2)
        world.restart()
    until(lambda: over(world, job_id))
    until(lambda: settled(world))
    for node in nodes:
        node.stop()
    view = world.get(f"/v1/jobs/{job_id}")
    assert (view["version"]["number"], view["traces_accepted"]) == (4, 4 * 6 * 2 + 2 * 3)
    assert world.chain.settlement.next_epoch() == 2

    with_proof = world.get(f"/v1/jobs/{job_id}/traces?after=0&limit=1000")
    digest, worker = with_proof[7]["trace_digest"], with_proof[7]["trace"]["worker"]
    proof = TraceProof.model_validate(world.get(f"/v1/jobs/{job_id}/traces/{digest}/proof"))
    status = world.chain.provenance.trace_status(job_id, proof.epoch, digest, worker, proof.proof)
    assert status is TraceStatus.FINALISED
    transport = Transport(f"http://127.0.0.1:{world.port}")
    (line,) = audit_epoch(1, Sources(transport), world.chain)
    assert line.job_id == job_id
    assert len(line.findings) > 10
    assert line.faults == (), line.findings
    for node in nodes:
        proofs = transport.get_many(f"/v1/accounts/{node.owner}/claims", ClaimProof)
        (claimed,) = claim_all(world.chain, node.owner, proofs)
        assert claimed.paid == sum(proof.amount for proof in proofs) > 0
        assert list(claim_all(world.chain, node.owner, proofs)) == []
    transport.close()


def test_a_chain_that_is_away_is_settled_on_later_and_once(world: LiveWorld, anvil: LastingAnvil) -> None:
    job_id = world.submit(spec_for(world, rounds=2))
    node = LiveNode(world, 1)
    node.start()
    anvil.stop()
    until(lambda: over(world, job_id))
    waiting = until(lambda: world.get(f"/v1/jobs/{job_id}")["settlement"])
    assert "does not answer" in waiting
    assert world.http.get("/healthz").status_code == 200
    world.restart()
    anvil.start()
    until(lambda: settled(world))
    node.stop()
    assert world.chain.settlement.next_epoch() == 2


def test_a_trainer_that_dies_is_done_without(world: LiveWorld) -> None:
    job_id = world.submit(spec_for(world, rounds=2))
    nodes = [LiveNode(world, number) for number in (1, 2)]
    nodes[0].dies_in_training = True
    for node in nodes:
        node.start()
    until(lambda: over(world, job_id), 90)
    for node in nodes:
        node.stop()
    records = world.get(f"/v1/jobs/{job_id}/rounds")["rounds"]
    assert [record["round"] for record in records] == [0, 1]
    assert records[0]["attempt"] == 2
    assert list(records[0]["digests"]) == [nodes[1].worker]


def test_a_polite_stop_is_quick_even_with_long_polls_open(world: LiveWorld) -> None:
    node = LiveNode(world, 1)
    node.start()
    time.sleep(0.5)
    started = time.monotonic()
    world.kill(signal.SIGTERM)
    assert time.monotonic() - started < 8
    world.start()
    node.stop()


def test_who_hangs_up_while_waiting_is_given_nothing(world: LiveWorld) -> None:
    node = LiveNode(world, 1)
    assert node.open().status_code == 200
    body = b'{"capabilities":["rollout"],"wait":20}'
    with pytest.raises(httpx.ReadTimeout):
        world.http.post("/v1/work", content=body, headers=node.headers("POST", "/v1/work", body), timeout=0.5)
    world.submit(spec_for(world))
    time.sleep(1)
    assert [view["doing"] for view in world.get("/v1/nodes")] == [None]

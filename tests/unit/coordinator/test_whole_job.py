"""A job from submission to claim, over HTTP, with two honest nodes."""

from __future__ import annotations

from r1coordinator.settlement.sender import Settler
from r1net.protocol.merkle import verify
from r1net.protocol.settlement import REWARD_LEAF, EpochReport, rewards_root
from tests.unit.coordinator.network import World, run


def test_two_nodes_carry_a_job_to_its_end(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    view = run(world, nodes, job_id)
    assert (view["state"], view["phase"], view["round"]) == ("completed", "done", 2)
    assert view["version"]["number"] == 2
    assert view["traces_accepted"] == 2 * 4 * 2 + 2 * 3
    rounds = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"]
    assert [record["round"] for record in rounds] == [0, 1]
    assert set(rounds[0]["digests"]) == {node.worker for node in nodes}
    assert {"reward", "reward_std", "grad_norm", "rewards/correct/mean", "step_time"} <= rounds[0]["metrics"].keys()
    evaluations = world.http.get(f"/v1/jobs/{job_id}/evaluations").json()
    assert [record["version"]["number"] for record in evaluations] == [0, 2]
    assert all(record["problems"] == 3 for record in evaluations)


def test_the_work_is_settled_once_and_can_be_claimed_and_proved(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    run(world, nodes, job_id)
    settler = Settler(world.services.db, world.chain, world.settings)
    for _ in range(3):
        settler.step()
    assert world.chain.sent == [("propose", 1), ("finalise", 1)]
    epoch = world.http.get("/v1/epochs").json()[0]
    assert (epoch["state"], epoch["traces"]) == ("final", 22)
    (line,) = EpochReport.parse(world.http.get("/v1/epochs/1/report").content).jobs
    assert [(row["job_id"], row["state"], row["report"]) for row in epoch["lines"]] == [
        (job_id, "final", line.digest())
    ]
    assert line.rewards_root == rewards_root(line.rewards)
    assert sum(row.amount for row in line.rewards) == line.amount == int(epoch["amount"])
    for node in nodes:
        (claim,) = world.http.get(f"/v1/accounts/{node.owner}/claims").json()
        row = (claim["index"], claim["account"], int(claim["amount"]))
        assert verify(line.rewards_root, REWARD_LEAF, row, claim["proof"])
        rewards = world.http.get(f"/v1/accounts/{node.owner}/rewards").json()
        assert (rewards["final"], rewards["pending"]) == (claim["amount"], "0")
    trace = world.http.get(f"/v1/jobs/{job_id}/traces?limit=1").json()[0]
    proof = world.http.get(f"/v1/jobs/{job_id}/traces/{trace['trace_digest']}/proof").json()
    assert verify(proof["traces_root"], ["bytes32"], (trace["trace_digest"],), proof["proof"])
    assert proof["traces_root"] == line.traces_root


def test_traces_are_exported_page_by_page(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    seen: list[str] = []
    while page := world.http.get(f"/v1/jobs/{job_id}/traces?limit=5&after={len(seen)}").json():
        seen += [view["trace_digest"] for view in page]
    assert len(seen) == len(set(seen)) == 22
    newest = world.http.get(f"/v1/jobs/{job_id}/traces?limit=2").json()
    assert [view["trace_digest"] for view in newest] == seen[-2:]
    assert newest[0]["question"] in newest[0]["prompt"]
    heldout = world.http.get(f"/v1/jobs/{job_id}/traces?split=heldout").json()
    assert len(heldout) == 6

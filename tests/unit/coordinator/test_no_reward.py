"""Rewards that don't apply: `exact` on puzzles that have no reference answer, from the score to the settled epoch."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from r1coordinator.settlement.sender import Settler
from r1coordinator.store.tables import TraceRow
from r1net import rewards
from r1net.datasets import ProofBook, export_traces
from r1net.environments import load_environment
from r1net.protocol.canonical import canonical_bytes
from r1net.protocol.job import RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.views import TraceView
from r1net.transport import Transport
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import World, run

PUZZLES = EnvironmentSpec(name="reasoning_gym:graph_color", config={"min_num_vertices": 3, "max_num_vertices": 3})
EXACT, FORMAT = RewardSpec(name="exact"), RewardSpec(name="format", weight=0.25)


@pytest.mark.parametrize("generator", ["graph_color", "rush_hour", "boxnet", "rubiks_cube", "propositional_logic"])
def test_exact_says_nothing_where_there_is_no_reference_answer(generator: str) -> None:
    environment = load_environment(EnvironmentSpec(name=f"reasoning_gym:{generator}"))
    problem = environment.problem(1)
    assert problem.answer is None
    for specs, reward, parts in (
        ([EXACT], None, {"exact": None}),
        ([EXACT, FORMAT], 0.0, {"exact": None, "format": 0.0}),
    ):
        assert rewards.RewardSet(specs).parts(environment, problem, rewards.Completion("None")) == parts
        assert rewards.total(specs, parts) == reward


def test_solved_needs_a_verdict() -> None:
    assert rewards.solved({"exact": None}) is None
    assert rewards.solved({"exact": None, "correct": 1.0}) is True
    assert rewards.solved({"exact": None, "correct": 0.5}) is False
    assert rewards.solved({"format": 1.0}) is False


def test_a_job_whose_completions_have_no_reward_runs_and_is_settled(world: World) -> None:
    job_id = world.submit(job_spec(environment=PUZZLES, rewards=(EXACT,)))
    assert run(world, [world.node(1), world.node(2)], job_id)["state"] == "completed"
    metrics = world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"][0]["metrics"]
    assert "reward" not in metrics
    assert (metrics["reward_std"], metrics["frac_reward_zero_std"]) == (0.0, 1.0)
    first = world.http.get(f"/v1/jobs/{job_id}/evaluations").json()[0]
    assert (first["problems"], first["accuracy"], first["mean_reward"]) == (0, 0.0, None)
    for _ in range(3):
        Settler(world.services.db, world.chain, world.settings).step()
    assert world.http.get("/v1/epochs").json()[0]["state"] == "final"
    trace = world.http.get(f"/v1/jobs/{job_id}/traces?limit=1").json()[0]
    assert (trace["trace"]["reward"], trace["trace"]["reward_parts"]) == (None, {"exact": None})
    assert TraceView.model_validate(trace).trace.digest() == trace["trace_digest"]
    assert b'"reward":null' in canonical_bytes(trace["trace"])


def test_traces_without_reward_are_exported_as_null(world: World, tmp_path: Path) -> None:
    job_id = world.submit(job_spec(environment=PUZZLES, rewards=(EXACT,)))
    run(world, [world.node(1)], job_id)
    views = [TraceView.model_validate(view) for view in world.http.get(f"/v1/jobs/{job_id}/traces?after=0").json()]
    target = tmp_path / "traces.parquet"
    with Transport("https://nowhere.invalid") as offline:
        unsettled = [view.model_copy(update={"epoch": None}) for view in views]
        export_traces(unsettled, ProofBook(offline, job_id), target)
    table = pq.read_table(target)
    assert table["reward"].null_count == len(views) == 22
    assert table["reward_parts"][0].as_py() == dict.fromkeys(rewards.names())


def test_a_claimed_reward_where_there_is_none_is_refused(world: World) -> None:
    world.submit(job_spec(environment=PUZZLES, rewards=(EXACT,)))
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    greedy = [trace.model_copy(update={"reward": 0.0}) for trace in node.traces(lease)]
    assert node.submit(lease, node.sign(lease, greedy)).json()["code"] == "reward_mismatch"
    again = node.work()
    assert again is not None
    assert node.submit(again).status_code == 200
    with world.services.db.read() as s:
        assert set(s.scalars(select(TraceRow.reward))) == {None}

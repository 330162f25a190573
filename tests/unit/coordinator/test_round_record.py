"""What is written down of a round: TRL's names, the network's counts and speeds."""

from __future__ import annotations

import pytest

from r1net.protocol.job import Evaluation
from r1net.protocol.views import TraceView
from r1net.protocol.work import RolloutTask, TrainTask
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import World, publish_all, run

TRL_NAMES = {
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "rewards/correct/mean",
    "rewards/correct/std",
    "rewards/format/mean",
    "rewards/format/std",
    "completions/mean_length",
    "completions/min_length",
    "completions/max_length",
    "completions/clipped_ratio",
    "completions/mean_terminated_length",
    "completions/min_terminated_length",
    "completions/max_terminated_length",
    "num_tokens",
    "step_time",
}


def metrics_of(world: World, job_id: str) -> list[dict[str, float]]:
    return [record["metrics"] for record in world.http.get(f"/v1/jobs/{job_id}/rounds").json()["rounds"]]


def test_tokens_are_counted_as_trl_does(world: World) -> None:
    """Prompt and completion of every sequence, of all rounds so far."""
    job_id = world.submit()
    assert run(world, [world.node(1), world.node(2)], job_id)["state"] == "completed"
    first, second = metrics_of(world, job_id)
    assert first.keys() >= TRL_NAMES
    views = world.http.get(f"/v1/jobs/{job_id}/traces?after=0&limit=1000&split=train").json()
    traces = [TraceView.model_validate(view).trace for view in views]
    counts = [
        sum(len(trace.prompt_ids) + len(trace.completion_ids) for trace in traces if trace.round <= round_)
        for round_ in (0, 1)
    ]
    assert [first["num_tokens"], second["num_tokens"]] == counts
    assert first["rollout/accepted_traces"] == 8


def test_phases_are_timed_and_refused_work_is_counted(world: World) -> None:
    job_id = world.submit(job_spec(evaluation=Evaluation(problems=0)))
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    forged = [trace.model_copy(update={"reward": 5.0}) for trace in node.traces(lease)]
    assert node.submit(lease, node.sign(lease, forged)).status_code == 422
    world.tick(4)
    honest = node.work()
    assert honest is not None
    assert isinstance(honest.task, RolloutTask)
    assert node.submit(honest).status_code == 200
    training = node.work()
    assert training is not None
    assert isinstance(training.task, TrainTask)
    world.tick(2)
    assert node.report(training).status_code == 202
    publish_all(world, [node])
    (metrics,) = metrics_of(world, job_id)
    tokens = training.task.tokens
    assert metrics["rollout/tokens_per_second"] == pytest.approx(tokens / 4)
    assert metrics["train/tokens_per_second"] == pytest.approx(tokens / 2)
    assert metrics["step_time"] == pytest.approx(6)
    assert (metrics["rollout/rejected_traces"], metrics["rollout/accepted_traces"]) == (8, 8)
    assert metrics["groups/drawn"] == metrics["groups/trained"] == 4


def test_the_trainers_extremes_stay_extremes(world: World) -> None:
    job_id = world.submit(job_spec(evaluation=Evaluation(problems=0)))
    nodes = [world.node(1), world.node(2)]
    for node, lease in [(node, node.work()) for node in nodes]:
        assert lease is not None
        assert node.submit(lease).status_code == 200
    name = "sampling/sampling_logp_difference"
    for value, node in enumerate(nodes, 1):
        lease = node.work()
        assert lease is not None
        assert node.report(lease, metrics={f"{name}/max": value, f"{name}/mean": value}).status_code == 202
    publish_all(world, nodes)
    (metrics,) = metrics_of(world, job_id)
    assert metrics[f"{name}/max"] == 2
    assert 1 < metrics[f"{name}/mean"] < 2

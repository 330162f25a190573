"""A job's own reward at the coordinator: whose fault is what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1net.protocol.job import RewardSpec
from r1net.protocol.trace import Trace
from r1net.protocol.work import Lease
from r1net.rewards import total
from r1net.sandbox import SandboxedScorer
from tests.adversarial.sandbox.rewards import MODEL_FILES, Kit
from tests.sandbox import SANDBOX
from tests.unit.coordinator.network import World

LENGTH = "def reward(prompts, completions, answer, **rest):\n    return [len(completions[0]) / 8 + len(answer[0])]\n"
COUNTING = "n = 0\ndef reward(**columns):\n    global n\n    n += 1\n    return [n]\n"
RANDOM = "import random\ndef reward(**columns):\n    return [random.random()]\n"
FAULTY = "def reward(prompts, completions, **columns):\n    return [1.0 if 'y' in completions[0] else 1 / 0]\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


class Contest:
    """One job with an own reward beside a registered one, and a node that works on it."""

    def __init__(self, world: World, source: str) -> None:
        self.kit, self.world = Kit(source), world
        self.spec = self.kit.spec(RewardSpec(name="correct"), RewardSpec(name="code"), weight=0.5)
        self.job_id = world.submit(self.spec, files=MODEL_FILES | self.kit.files)
        self.node = world.node(1)

    def lease(self) -> Lease:
        lease = self.node.work("rollout")
        assert lease is not None, self.world.job(self.job_id)
        return lease

    def traces(self, lease: Lease) -> list[Trace]:
        """Honest traces with the rewards that a host's sandbox gives."""
        files = (lambda: MODEL_FILES["tokenizer.json"]), (lambda: MODEL_FILES["config.json"])
        scorer = SandboxedScorer(SANDBOX, self.spec, *files, files=self.world.services.blobs.path)
        traces = self.node.traces(lease)
        items = [((trace.split, trace.round, trace.group), trace.completion_ids) for trace in traces]
        return [
            trace.model_copy(update={"reward": graded.reward, "reward_parts": graded.parts})
            for trace, graded in zip(traces, scorer.grade(items), strict=True)
        ]

    def send(self, lease: Lease, traces: list[Trace]) -> Any:
        return self.node.submit(lease, self.node.sign(lease, traces))

    def standing(self) -> tuple[float, dict[str, int]]:
        (view,) = self.world.http.get("/v1/nodes").json()
        return view["standing"], view["reasons"]


def claiming(contest: Contest, trace: Trace, value: float | None) -> Trace:
    parts = {**trace.reward_parts, "mine": value}
    return trace.model_copy(update={"reward_parts": parts, "reward": total(contest.spec.rewards, parts)})


@pytest.mark.parametrize("source", [LENGTH, COUNTING])
def test_honest_work_is_admitted_in_whatever_order_it_comes(world: World, source: str) -> None:
    contest = Contest(world, source)
    lease = contest.lease()
    traces = contest.traces(lease)
    assert all(list(trace.reward_parts) == ["mine", "correct", "code"] for trace in traces)
    assert all(trace.reward_parts["code"] is None for trace in traces), "the problems have no tests"
    answer = contest.send(lease, traces[::-1])
    assert answer.status_code == 200, answer.text


def test_another_value_is_refused_at_no_cost_and_the_groups_are_free(world: World) -> None:
    contest = Contest(world, LENGTH)
    lease = contest.lease()
    first, *others = contest.traces(lease)
    for value in (first.reward_parts["mine"] + 1e-6, None):  # type: ignore[operator]
        answer = contest.send(lease, [claiming(contest, first, value), *others])
        assert (answer.status_code, answer.json()["code"]) == (422, "own_reward_mismatch")
        assert contest.standing() == (0, {})
        again = contest.lease()
        assert again.id != lease.id
        lease = again
        first, *others = contest.traces(lease)
    assert contest.send(lease, [first, *others]).status_code == 200


def test_too_many_of_these_and_the_node_is_left_out_of_the_job_and_of_no_other(world: World) -> None:
    contest = Contest(world, LENGTH)
    for _ in range(world.settings.max_content_refusals):
        lease = contest.lease()
        first, *others = contest.traces(lease)
        assert contest.send(lease, [claiming(contest, first, 99.0), *others]).status_code == 422
    assert contest.node.work("rollout") is None
    assert contest.standing() == (0, {})


def test_a_wrong_sum_of_parts_and_a_wrong_registered_part_are_the_nodes_fault(world: World) -> None:
    contest = Contest(world, LENGTH)
    for change in ("sum", "part"):
        lease = contest.lease()
        first, *others = contest.traces(lease)
        changes: dict[str, Any] = {"reward": (first.reward or 0.0) + 1}
        if change == "part":
            changes["reward_parts"] = {**first.reward_parts, "correct": 0.5}
        answer = contest.send(lease, [first.model_copy(update=changes), *others])
        assert (answer.status_code, answer.json()["code"]) == (422, "reward_mismatch")
        assert contest.standing()[1]["bad_submission"] > 0
        world.forgive()


def test_a_reward_that_differs_from_run_to_run_ends_its_job_and_blames_nobody(world: World) -> None:
    contest = Contest(world, RANDOM)
    lease = contest.lease()
    answer = contest.send(lease, contest.traces(lease))
    assert (answer.status_code, answer.json()["code"]) == (409, "job_failed")
    view = world.job(contest.job_id)
    assert view["state"] == "failed"
    assert "not deterministic" in view["error"]
    assert contest.standing() == (0, {})


def test_no_completion_ends_a_job_by_what_it_says(world: World) -> None:
    """A function that fails on some answers has no mark for them: who samples can't have it fail for the job."""
    contest = Contest(world, "def reward(completions, **rest):\n    return [1 / int(completions[0] == '')]\n")
    lease = contest.lease()
    traces = contest.traces(lease)
    assert all(trace.reward_parts["mine"] is None for trace in traces)
    assert contest.send(lease, traces).status_code == 200
    assert world.job(contest.job_id)["state"] == "running"


def test_a_fault_ends_its_job_in_its_own_words_and_blames_nobody(world: World) -> None:
    contest = Contest(world, FAULTY)
    lease = contest.lease()
    traces = contest.traces(lease)
    assert any(trace.reward_parts["mine"] is None for trace in traces), "a host hands in what it can't grade"
    answer = contest.send(lease, traces)
    assert (answer.status_code, answer.json()["code"]) == (409, "job_failed")
    view = world.job(contest.job_id)
    assert view["state"] == "failed"
    assert "ZeroDivisionError" in view["error"]
    assert contest.standing() == (0, {})


@pytest.mark.parametrize("source", ["1 / 0", "def other(): pass", "import r1net"])
def test_a_file_that_cannot_be_loaded_fails_its_job_before_it_starts(world: World, source: str) -> None:
    kit = Kit(source)
    view = world.job(world.submit(kit.spec(), files=MODEL_FILES | kit.files))
    assert view["state"] == "failed"
    assert "'mine'" in view["error"]


@pytest.mark.parametrize("changes", [{"name": "correct"}, {"config": {"a": 1}}])
def test_a_reward_under_a_registered_name_or_with_settings_is_refused(world: World, changes: dict[str, Any]) -> None:
    spec = Kit(LENGTH).spec()
    spec = spec.model_copy(update={"rewards": (spec.rewards[0].model_copy(update=changes),)})
    answer = world.http.post(
        "/v1/jobs", json={"job_id": world.chain.fund(spec, 1), "spec": spec.model_dump(mode="json")}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_reward")

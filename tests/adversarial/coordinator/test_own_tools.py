"""A job's own tool at the coordinator: whose fault is what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1net.protocol.job import RewardSpec, Sampling
from r1net.protocol.trace import Trace
from r1net.protocol.work import Lease
from r1net.sandbox import SandboxedScorer
from tests.adversarial.sandbox.rewards import Kit
from tests.adversarial.sandbox.tools import ToolKit
from tests.sandbox import SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.coordinator.network import World
from tests.unit.coordinator.test_turns import said

ECHO = "def answer(prompt, turns, **columns):\n    return turns[-1].upper() if turns[-1].startswith('ask') else None\n"
SPARE = "def answer(prompt, turns, **columns):\n    return None\n"
RANDOM = "import random\ndef answer(prompt, turns, **columns):\n    return str(random.random())\n"
FAULTY = "def answer(prompt, turns, **columns):\n    return 1 / 0\n"
SHOWN = (
    "def reward(prompts, completions, **columns):\n"
    "    (talk,) = completions\n"
    "    said = [message['content'] for message in talk if message['role'] == 'tool']\n"
    "    assert [message['role'] for message in talk] == ['assistant', *['tool', 'assistant'] * len(said)]\n"
    "    return [float(said == ['ASK 1'] and talk[-1]['content'] == 'thanks')]\n"
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


class Contest:
    """One job with an own tool, and an own reward that is shown what it says."""

    def __init__(self, world: World, source: str, reward: str = SHOWN) -> None:
        self.tool, self.kit, self.world = ToolKit(source), Kit(reward), world
        self.spec = self.tool.spec(
            rewards=(RewardSpec(name="shown", code=self.kit.code), RewardSpec(name="correct")),
            sampling=Sampling(max_tokens=120),
            evaluation=job_spec().evaluation.model_copy(update={"problems": 0}),
        )
        self.files = MODEL_FILES | self.tool.files | self.kit.files
        self.job_id = world.submit(self.spec, files=self.files)
        self.node = world.node(1)

    def lease(self) -> tuple[Lease, list[Trace]]:
        lease = self.node.work("rollout")
        assert lease is not None, self.world.job(self.job_id)
        return lease, self.node.traces(lease)

    def graded(self, traces: list[Trace]) -> list[Trace]:
        """The traces with the marks that a host's sandbox gives."""
        files = (lambda: MODEL_FILES["tokenizer.json"]), (lambda: MODEL_FILES["config.json"])
        scorer = SandboxedScorer(SANDBOX, self.spec, *files, files=self.world.services.blobs.path)
        items = [((trace.split, trace.round, trace.group), trace.completion_ids) for trace in traces]
        grades = scorer.grade(items, [trace.given for trace in traces])
        return [
            trace.model_copy(update={"reward": graded.reward, "reward_parts": graded.parts})
            for trace, graded in zip(traces, grades, strict=True)
        ]

    def send(self, lease: Lease, traces: list[Trace]) -> Any:
        return self.node.submit(lease, self.node.sign(lease, self.graded(traces)))

    def standing(self) -> tuple[float, dict[str, int]]:
        (view,) = self.world.http.get("/v1/nodes").json()
        return view["standing"], view["reasons"]


def saying(trace: Trace, *parts: str) -> Trace:
    return Trace.model_validate(trace.model_dump() | said(*parts))


def test_several_turns_with_an_own_tool_are_admitted_and_rewards_see_the_messages(world: World) -> None:
    contest = Contest(world, ECHO)
    lease, traces = contest.lease()
    traces[0] = saying(traces[0], "ask 1", "\nASK 1\n", "thanks")
    assert contest.graded(traces)[0].reward_parts["shown"] == 1.0
    answer = contest.send(lease, traces)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "parts",
    [("ask 1", "\nsomething else\n", "thanks"), ("ask 1",), ("no question", "\nNO QUESTION\n", "thanks")],
)
def test_what_it_did_not_say_is_refused_at_no_cost(parts: tuple[str, ...], world: World) -> None:
    contest = Contest(world, ECHO)
    lease, traces = contest.lease()
    traces[0] = saying(traces[0], *parts)
    answer = contest.send(lease, traces)
    assert (answer.status_code, answer.json()["code"]) == (422, "own_reply_mismatch")
    assert contest.standing() == (0, {})
    again, _ = contest.lease()
    assert again.id != lease.id, "the lease is over, and its groups are free"


def test_the_same_with_a_registered_tool_costs_standing_and_the_lease(world: World) -> None:
    turns = ToolKit(ECHO).turns.model_copy(update={"tool": "calculator", "code": None})
    none = job_spec().evaluation.model_copy(update={"problems": 0})
    world.submit(job_spec(turns=turns, sampling=Sampling(max_tokens=120), evaluation=none))
    node = world.node(1)
    lease = node.work("rollout")
    assert lease is not None
    traces = node.traces(lease)
    answer = node.submit(lease, node.sign(lease, [saying(traces[0], "1+1", "\n2\n", "2"), *traces[1:]]))
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_reply")
    (view,) = world.http.get("/v1/nodes").json()
    assert view["reasons"]["bad_submission"] > 0
    world.forgive()
    again = node.work("rollout")
    assert again is not None
    assert again.id != lease.id


def test_one_that_depends_on_chance_ends_its_job_and_nobody_else(world: World) -> None:
    contest = Contest(world, RANDOM)
    lease, traces = contest.lease()
    answer = contest.send(lease, traces)
    assert answer.status_code >= 400
    assert contest.standing() == (0, {})
    job = world.job(contest.job_id)
    assert job["state"] == "failed"
    assert "not deterministic" in job["error"]


@pytest.mark.parametrize("source", [SPARE, FAULTY])
def test_one_that_says_nothing_or_fails_leaves_completions_of_one_turn(source: str, world: World) -> None:
    contest = Contest(world, source)
    lease, traces = contest.lease()
    assert contest.send(lease, traces).status_code == 200


@pytest.mark.parametrize(("source", "words"), [("answer = 1\n", "no function"), ("def answer(:\n", "SyntaxError")])
def test_a_file_that_is_no_tool_fails_its_job_before_anybody_works(source: str, words: str, world: World) -> None:
    contest = Contest(world, source)
    world.tick()
    assert contest.node.work("rollout") is None
    job = world.job(contest.job_id)
    assert job["state"] == "failed"
    assert words in job["error"]

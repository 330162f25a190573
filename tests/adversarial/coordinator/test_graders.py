"""Threat model, 1: what a completion says meets no interpreter of the coordinator's, whoever signed for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from r1net.protocol.job import Evaluation, JobSpec, RewardSpec, Sampling
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import Trace
from r1net.protocol.work import Lease
from tests.unit.coordinator.jobs import STOP, job_spec, tokenizer_json
from tests.unit.coordinator.network import Node, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


def spec_of(generator: str) -> JobSpec:
    return job_spec(
        budget=10**12,
        environment=EnvironmentSpec(name=f"reasoning_gym:{generator}"),
        rewards=(RewardSpec(name="correct"),),
        sampling=Sampling(max_tokens=131072),
        evaluation=Evaluation(problems=0),
    )


def forged(node: Node, lease: Lease, text: str, reward: float) -> list[Trace]:
    """The first completion says `text`, and claims a reward for it."""
    ids = (*Tokenizer.from_str(tokenizer_json().decode()).encode(text).ids, STOP)
    first, *others = node.traces(lease)
    changes = {
        "completion_ids": ids,
        "logprobs": tuple(-0.25 for _ in ids),
        "finish_reason": "stop",
        "reward": reward,
        "reward_parts": {"correct": reward},
    }
    return [first.model_copy(update=changes), *others]


@pytest.mark.parametrize("generator", ["countdown", "spiral_matrix", "puzzle24", "polynomial_multiplication"])
def test_a_command_in_an_answer_is_not_run(world: World, generator: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    world.submit(spec_of(generator))
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    text = f"<answer>__import__('os').system('touch {marker}')</answer>"
    node.submit(lease, node.sign(lease, forged(node, lease, text, 1.0)))
    assert not marker.exists()


@pytest.mark.parametrize("generator", ["countdown", "puzzle24"])
def test_an_answer_that_never_ends_stops_nobody_else_and_is_worth_nothing(world: World, generator: str) -> None:
    """Threads of the coordinator go on while it is graded; claiming 0 for it is accepted, claiming 1 is not."""
    world.submit(spec_of(generator))
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    beats: list[float] = []
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            beats.append(time.monotonic())

    thread = threading.Thread(target=beat)
    thread.start()
    text = "<answer>9**9**9</answer>"
    dear = node.submit(lease, node.sign(lease, forged(node, lease, text, 1.0)))
    assert (dear.status_code, dear.json()["code"]) == (422, "reward_mismatch")
    again = node.work()
    assert again is not None
    free = node.submit(again, node.sign(again, forged(node, again, text, 0.0)))
    over.set()
    thread.join()
    assert free.status_code == 200, free.text
    assert len(beats) > 10


def test_a_sandbox_that_fails_gives_no_score_and_ends_no_lease(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from r1net.sandbox import SandboxedScorer, SandboxFailed

    def broken(self: SandboxedScorer, items: object, given: object) -> None:
        raise SandboxFailed("killed by its operator")

    world.submit(spec_of("chain_sum"))
    node = world.node(1)
    lease = node.work()
    assert lease is not None
    submission = node.sign(lease, node.traces(lease))
    with monkeypatch.context() as patch:
        patch.setattr(SandboxedScorer, "grade", broken)
        answer = node.submit(lease, submission)
    assert (answer.status_code, answer.json()["code"]) == (503, "sandbox_failed")
    assert "retry-after" in answer.headers
    assert node.submit(lease, submission).status_code == 200

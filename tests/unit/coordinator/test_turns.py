"""Submissions of several turns over HTTP: what the tool said is computed again, and only what was sampled is paid."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer

from r1net.protocol.job import JobSpec, RewardSpec, Sampling
from r1net.protocol.trace import Trace
from r1net.protocol.turns import Turns
from r1net.protocol.work import Lease
from tests.unit.coordinator.jobs import STOP, job_spec, tokenizer_json
from tests.unit.coordinator.network import Node, World
from tests.unit.coordinator.test_checks import earned

TURNS = Turns(tool="calculator", most=3, reply="\n{reply}\n")
ENCODE = Tokenizer.from_str(tokenizer_json().decode()).encode


def spec(**changes: Any) -> JobSpec:
    return job_spec(turns=TURNS, rewards=(RewardSpec(name="correct"),), sampling=Sampling(max_tokens=120), **changes)


def said(*parts: str) -> dict[str, Any]:
    """A completion of turns and answers, in turn."""
    ids: list[int] = []
    logprobs: list[float] = []
    spans = []
    for number, part in enumerate(parts):
        own = number % 2 == 0
        tokens = [*ENCODE(part).ids, *([STOP] if own else [])]
        if not own:
            spans.append((len(ids), len(ids) + len(tokens)))
        ids += tokens
        logprobs += [-1.0 if own else 0.0] * len(tokens)
    return {"completion_ids": tuple(ids), "logprobs": tuple(logprobs), "given": tuple(spans), "finish_reason": "stop"}


def leased(world: World) -> tuple[Node, Lease, list[Trace]]:
    """A training lease and plain traces for it."""
    world.submit(spec(evaluation=job_spec().evaluation.model_copy(update={"problems": 0})))
    node = world.node(1)
    lease = node.work("rollout")
    assert lease is not None
    return node, lease, node.traces(lease)


def with_reward(world: World, trace: Trace, changes: dict[str, Any]) -> Trace:
    """The trace with another completion, and the mark that this earns."""
    made = Trace.model_validate(trace.model_dump() | changes)
    scored = world.scorer(trace.job_id).score(made.split, made.round, made.group, made.completion_ids, made.given)
    return made.model_copy(update={"reward": scored.reward, "reward_parts": scored.parts})


def test_several_turns_are_admitted_and_only_the_sampled_tokens_are_paid(world: World) -> None:
    node, lease, traces = leased(world)
    answer = world.scorer(traces[0].job_id).problem("train", 0, traces[0].group).answer
    assert answer is not None
    asked = said("<calc>2*3</calc>", "\n6\n", f"<answer>{answer}</answer>")
    traces[0] = with_reward(world, traces[0], asked)
    assert traces[0].reward == 1.0
    assert node.submit(lease, node.sign(lease, traces)).status_code == 200
    assert earned(world, node.owner) == sum(trace.tokens for trace in traces)
    assert traces[0].tokens == len(traces[0].completion_ids) - 3


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("<calc>2*3</calc>", "\n7\n", "7"), "the tool gives another answer"),
        (("no question", "\n6\n", "6"), "the tool gives another answer"),
        (("<calc>2*3</calc>",), "the tool had an answer, which is left out"),
        (("<calc>1+1</calc>", "\n2\n", "<calc>2+2</calc>"), "the tool had an answer, which is left out"),
        (
            ("<calc>1+1</calc>", "\n2\n", "<calc>1+1</calc>", "\n2\n", "<calc>1+1</calc>", "\n2\n", "x"),
            "the tool gives another answer",
        ),
    ],
)
def test_what_the_tool_did_not_say_is_refused(parts: tuple[str, ...], words: str, world: World) -> None:
    node, lease, traces = leased(world)
    traces[0] = with_reward(world, traces[0], said(*parts))
    answer = node.submit(lease, node.sign(lease, traces))
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_reply")
    assert words in answer.json()["detail"]


def test_an_answer_in_the_middle_of_a_turn_is_refused(world: World) -> None:
    node, lease, traces = leased(world)
    whole = said("<calc>2*3</calc>", "\n6\n", "6")
    (begin, end), ids = whole["given"][0], list(whole["completion_ids"])
    ids[begin - 1] = ENCODE("x").ids[0]
    traces[0] = with_reward(world, traces[0], whole | {"completion_ids": tuple(ids)})
    answer = node.submit(lease, node.sign(lease, traces))
    assert answer.json()["code"] == "bad_finish"
    assert end > begin


def test_a_job_without_a_tool_takes_no_answers(world: World) -> None:
    world.submit(job_spec(sampling=Sampling(max_tokens=60)))
    node = world.node(1)
    lease = node.work("rollout")
    assert lease is not None
    traces = node.traces(lease)
    traces[0] = with_reward(world, traces[0], said("<calc>2*3</calc>", "\n6\n", "6"))
    answer = node.submit(lease, node.sign(lease, traces))
    assert answer.status_code == 422


def test_a_tool_that_there_is_not_is_refused_before_anything_is_paid(world: World) -> None:
    for turns, words in (
        (TURNS.model_copy(update={"tool": "oracle"}), "unknown tool"),
        (TURNS.model_copy(update={"config": {"x": 1}}), "refuses its settings"),
    ):
        bad = job_spec(turns=turns)
        job_id = world.chain.fund(bad, 9)
        answer = world.http.post("/v1/jobs", json={"job_id": job_id, "spec": bad.model_dump(mode="json")})
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_tool")
        assert words in answer.json()["detail"]

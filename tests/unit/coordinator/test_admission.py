"""Every cause of a refusal: a real signed bundle that differs from an honest one in just that thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1coordinator.verification.codes import CONTENT
from r1net.protocol.signing import Domain, receipt_values
from r1net.protocol.trace import RolloutSubmission, Trace
from r1net.protocol.work import Lease, Receipt, RolloutTask
from tests.unit.coordinator.jobs import CHAIN_ID, REGISTRY, STOP, job_spec, key
from tests.unit.coordinator.network import Node, World

Change = Callable[[list[Trace]], list[Trace]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One coordinator for all bad bundles: each leaves it unharmed for the next."""
    made = World(Path(tmp_path_factory.mktemp("admission")), max_content_refusals=10_000)
    made.submit(job_spec(evaluation=job_spec().evaluation.model_copy(update={"problems": 0})))
    yield made
    made.kill()


def every(**changes: Any) -> Change:
    """The same change to every trace."""
    return lambda traces: [trace.model_copy(update=changes) for trace in traces]


def one(change: Callable[[Trace], dict[str, Any]]) -> Change:
    """A change to one trace: the last."""
    return lambda traces: [*traces[:-1], traces[-1].model_copy(update=change(traces[-1]))]


def tokens(ids: Callable[[tuple[int, ...]], tuple[int, ...]], finish: str | None = None) -> Change:
    """Other completion tokens in one trace, with as many log-probabilities."""

    def change(trace: Trace) -> dict[str, Any]:
        new = ids(trace.completion_ids)
        return {
            "completion_ids": new,
            "logprobs": tuple(-1.0 for _ in new),
            "finish_reason": finish or trace.finish_reason,
        }

    return one(change)


BAD: dict[str, tuple[str, Change]] = {
    "another job": ("wrong_job", every(job_id="0x" + "ab" * 32)),
    "another split": ("wrong_job", every(split="heldout")),
    "another round": ("wrong_job", every(round=1)),
    "somebody else's name": ("wrong_worker", one(lambda _: {"worker": key(1).address})),
    "another policy": ("wrong_policy", every(policy="0x" + "cd" * 32)),
    "another prompt": ("wrong_prompt", one(lambda trace: {"prompt_ids": (*trace.prompt_ids, 65)})),
    "a chosen seed": ("wrong_seed", one(lambda trace: {"seed": trace.seed ^ 1})),
    "a better reward": ("reward_mismatch", one(lambda trace: {"reward": trace.reward + 1})),
    "a slightly better reward": ("reward_mismatch", one(lambda trace: {"reward": trace.reward + 1e-6})),
    "better parts": ("reward_mismatch", one(lambda trace: {"reward_parts": {**trace.reward_parts, "format": 0.5}})),
    "a part that doesn't apply": (
        "reward_mismatch",
        one(lambda trace: {"reward_parts": {**trace.reward_parts, "format": None}}),
    ),
    "other rewards": ("reward_mismatch", one(lambda trace: {"reward_parts": {**trace.reward_parts, "kindness": 1.0}})),
    "a missing completion": ("incomplete_group", lambda traces: traces[:-1]),
    "a completion twice": ("incomplete_group", lambda traces: [*traces, traces[-1]]),
    "one in place of another": ("incomplete_group", lambda traces: [*traces[:-1], traces[-2]]),
    "too many tokens": ("bad_length", tokens(lambda _: (65,) * 13, "length")),
    "cut off too early": ("bad_length", tokens(lambda _: (65,) * 5, "length")),
    "going on after the stop token": ("bad_finish", tokens(lambda ids: (STOP, *ids[:10], STOP), "stop")),
    "a stop that isn't one": ("bad_finish", tokens(lambda _: (65,) * 12, "stop")),
    "a stop called length": ("bad_finish", tokens(lambda _: (*(65,) * 11, STOP), "length")),
    "a token outside the vocabulary": ("bad_token", tokens(lambda _: (*(65,) * 11, 260), "length")),
    "a negative token": ("bad_token", tokens(lambda _: (*(65,) * 11, -1), "length")),
    "a positive log-probability": (
        "bad_logprob",
        one(lambda trace: {"logprobs": (0.5, *trace.logprobs[1:])}),
    ),
}


def answered(trace: Trace) -> dict[str, Any]:
    """What a tool would have said, in a job that has none."""
    ids = (65, STOP, 66, 66, 65, STOP)
    logprobs = tuple(0.0 if 2 <= place < 4 else -1.0 for place in range(6))
    return {"completion_ids": ids, "logprobs": logprobs, "given": ((2, 4),), "finish_reason": "stop"}


BAD["an answer that nobody gave"] = ("wrong_reply", one(answered))


def leased(world: World, node: Node) -> Lease:
    world.forgive()
    lease = node.work("rollout")
    assert lease is not None
    assert isinstance(lease.task, RolloutTask)
    return lease


@pytest.mark.parametrize("name", BAD)
def test_what_differs_in_one_thing_is_refused_for_that_thing(shared: World, name: str) -> None:
    code, change = BAD[name]
    node = shared.node(1)
    before = shared.http.get("/v1/refusals").json().get(code, 0)
    lease = leased(shared, node)
    answer = node.submit(lease, node.sign(lease, change(node.traces(lease))))
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert shared.http.get("/v1/refusals").json()[code] == before + 1
    assert node.submit(lease).json()["code"] == "stale_lease"
    again = leased(shared, node)
    assert again.id != lease.id
    assert set(again.task.groups) <= set(lease.task.groups)  # type: ignore[union-attr]


def test_every_code_of_content_is_covered() -> None:
    assert {code for code, _ in BAD.values()} | {"bad_signature"} == set(CONTENT)


def signed_by(other: Node) -> Callable[[Node, Lease], RolloutSubmission]:
    def make(node: Node, lease: Lease) -> RolloutSubmission:
        return other.sign(lease, node.traces(lease))

    return make


@pytest.mark.parametrize("kind", ["another key", "another bundle", "garbage"])
def test_a_signature_must_be_the_workers_over_this_bundle(shared: World, kind: str) -> None:
    node, other = shared.node(1), Node(shared, 50)
    lease = leased(shared, node)
    honest = node.sign(lease, node.traces(lease))
    signature = {
        "another key": other.sign(lease, node.traces(lease)).signature,
        "another bundle": node.sign(lease, node.traces(lease)[:-1]).signature,
        "garbage": "0x" + "00" * 65,
    }[kind]
    answer = node.submit(lease, honest.model_copy(update={"signature": signature}))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_signature")


def test_a_bundle_that_names_another_lease_is_refused(shared: World) -> None:
    node = shared.node(1)
    lease = leased(shared, node)
    forged = lease.model_copy(update={"id": "0" * 32})
    answer = node.post(f"/v1/leases/{lease.id}/rollout", node.sign(forged, node.traces(lease)).model_dump_json())
    assert answer.status_code == 422
    assert answer.json()["code"] in ("bad_signature", "wrong_job")


def test_a_lease_is_its_workers_alone(shared: World) -> None:
    node = shared.node(1)
    lease = leased(shared, node)
    thief = shared.node(51)
    for target in ("rollout", "train", "published", "failure", "heartbeat"):
        body = {
            "rollout": node.sign(lease, node.traces(lease)).model_dump_json(),
            "failure": f'{{"lease_id":"{lease.id}","code":"x","detail":""}}',
            "train": f'{{"lease_id":"{lease.id}","trained_tokens":1,"version":{{"number":1,"policy":"0x{"1" * 64}"}}}}',
        }.get(target, "")
        answer = thief.post(f"/v1/leases/{lease.id}/{target}", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_lease"), target
    assert node.heartbeat(lease)["alive"] is True


def test_the_same_submission_again_brings_the_same_receipt_and_counts_once(world: World) -> None:
    job_id = world.submit()
    node = world.node(1)
    lease = leased(world, node)
    submission = node.sign(lease, node.traces(lease))
    first, second = node.submit(lease, submission), node.submit(lease, submission)
    assert (first.status_code, first.content) == (200, second.content)
    receipt = Receipt.parse(first.content)
    values = receipt_values(lease.id, node.worker, receipt.traces_root, receipt.accepted, receipt.tokens)
    assert Domain(CHAIN_ID, REGISTRY).signer("Receipt", values, receipt.signature) == key(0).address
    assert receipt.traces_root == submission.bundle.tree().root
    assert world.job(job_id)["traces_accepted"] == receipt.accepted == 3
    assert len(world.http.get(f"/v1/accounts/{node.owner}/rewards").json()["earnings"]) == 1
    other = node.sign(lease, node.traces(lease)[:2])
    assert node.submit(lease, other).json()["code"] == "stale_lease"


def test_three_bad_submissions_and_the_job_does_without_the_worker(world: World) -> None:
    world.submit()
    bad = world.node(1)
    for _ in range(3):
        lease = leased(world, bad)
        assert bad.submit(lease, bad.sign(lease, every(policy="0x" + "cd" * 32)(bad.traces(lease)))).status_code == 422
    world.forgive()
    assert bad.work() is None
    good = world.node(2)
    assert good.work() is not None
    nodes = {node["worker"]: node["rejected"] for node in world.http.get("/v1/nodes").json()}
    assert nodes == {bad.worker: 3, good.worker: 0}

"""Whatever comes in over HTTP: a typed problem goes out, it is counted, and the work goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r1net.protocol.views import Problem
from r1net.protocol.work import Lease
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import Node, World, run

LIMIT = 2**17
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(Path(tmp_path_factory.mktemp("hostile")), max_body_bytes=LIMIT)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def job_id(world: World) -> str:
    return world.submit()


@pytest.fixture(scope="module")
def node(world: World) -> Node:
    return world.node(1)


@pytest.fixture(scope="module")
def lease(job_id: str, node: Node) -> Lease:
    found = node.work()
    assert found is not None
    return found


def is_problem(answer: Any) -> Problem:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.parse(answer.content)
    assert problem.status == answer.status_code
    return problem


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
@pytest.mark.parametrize("target", ["/v1/sessions", "/v1/jobs", "/v1/jobs/check"])
def test_bytes_that_are_no_message(world: World, target: str, body: bytes) -> None:
    assert is_problem(world.http.post(target, content=body)).code in ("broken_json", "invalid_message")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values)
def test_json_that_is_no_message_even_when_it_is_signed(world: World, node: Node, lease: Lease, body: Any) -> None:
    for target in ("work", f"leases/{lease.id}/rollout", f"leases/{lease.id}/train", f"leases/{lease.id}/failure"):
        assert is_problem(node.post(f"/v1/{target}", json.dumps(body))).code in ("broken_json", "invalid_message")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_honest_submission_with_one_value_replaced(
    world: World, node: Node, lease: Lease, data: st.DataObject
) -> None:
    """One leaf of the JSON is replaced: whatever comes of it, there is no server error."""
    message = json.loads(node.sign(lease, node.traces(lease)).model_dump_json())
    if replaced(message, data):
        answer = node.post(f"/v1/leases/{lease.id}/rollout", json.dumps(message))
        assert answer.status_code < 500, answer.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_honest_specification_with_one_value_replaced(world: World, data: st.DataObject) -> None:
    """Nobody has paid for the question, and the answer is taken or refused in words."""
    spec = json.loads(job_spec().model_dump_json())
    if replaced(spec, data):
        answer = world.http.post("/v1/jobs/check", content=json.dumps(spec))
        assert answer.status_code == 204 or is_problem(answer).status in (400, 413, 422), answer.text


def replaced(message: Any, data: st.DataObject) -> bool:
    """Whether one leaf of a message is another now."""
    place = message
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        chosen = data.draw(st.sampled_from(list(keys)))
        if not isinstance(place[chosen], dict | list) or not place[chosen] or data.draw(st.integers(0, 9)) == 0:
            break
        place = place[chosen]
    before = place[chosen]
    place[chosen] = data.draw(json_values)
    return bool(place[chosen] != before)


@pytest.mark.parametrize("target", ["/v1/sessions", "/v1/jobs", "/v1/jobs/check", "/v1/work"])
def test_oversized_bodies_are_refused(world: World, target: str) -> None:
    declared = world.http.post(target, content=b"x" * (LIMIT + 1))
    assert (declared.status_code, is_problem(declared).code) == (413, "body_too_large")
    streamed = world.http.post(target, content=(b"x" * 2**14 for _ in range(9)))
    expected = (401, "not_signed") if target == "/v1/work" else (413, "body_too_large")
    assert (streamed.status_code, is_problem(streamed).code) == expected


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 20_000, b"1" * 100_000, b'"\xff\xfe"', b"\x00"])
def test_json_bombs(world: World, body: bytes) -> None:
    assert is_problem(world.http.post("/v1/jobs", content=body)).code in ("broken_json", "invalid_message")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/blobs/../../etc/passwd",
        "/v1/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/blobs/0x" + "g" * 64,
        "/v1/jobs/%00",
        "/v1/jobs/x'%20OR%201=1--",
        "/v1/jobs/0x00/rounds?after=nan",
        "/v1/jobs/0x00/traces?limit=100000000",
        "/v1/jobs/0x00/traces?split=everything",
        "/v1/jobs/0x00/rounds?wait=1e9",
        "/v1/epochs/99999999999999999999999/report",
        "/v1/epochs/-1/report",
        "/v1/accounts/%F0%9F%92%A9/claims",
        "/v1/leases/x/heartbeat",
    ],
)
def test_strange_addresses(world: World, target: str) -> None:
    is_problem(world.http.get(target))


def test_all_of_it_is_counted_and_the_job_still_comes_to_its_end(world: World, job_id: str) -> None:
    counted = world.http.get("/v1/refusals").json()
    assert {"broken_json", "invalid_message", "body_too_large"} <= counted.keys()
    assert run(world, [world.node(2), world.node(3)], job_id)["state"] == "completed"

"""Threat model, 2: one job's or one peer's fault stops that job or peer, with a reason that its owner can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from r1coordinator.scheduling import tick as ticking
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import Evaluation, JobSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.weight_files import INDEX, SINGLE
from tests.sandbox import IMPATIENT, SANDBOX
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.coordinator.network import World, run

POISON = {
    "nested 200,000 deep": {"config.json": b'{"vocab_size": 260, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"},
    "unclosed": {"config.json": b'{"x":' * 200_000},
    "infinite vocabulary": {"config.json": b'{"vocab_size": Infinity}'},
    "endless vocabulary": {"config.json": b'{"vocab_size": 1e400}'},
    "vocabulary of text": {"config.json": b'{"vocab_size": "many"}'},
    "no vocabulary": {"config.json": b"{}"},
    "code": {"config.json": b'{"vocab_size": 260, "auto_map": {"AutoConfig": "x.Y"}}'},
    "no JSON": {"config.json": b"\x00\xff"},
    "tokenizer of nothing": {"tokenizer.json": b"{}"},
    "tokenizer nested deep": {"tokenizer.json": b'{"model":' * 100_000},
    "tokenizer that is binary": {"tokenizer.json": bytes(range(256))},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


def poisoned(files: dict[str, bytes]) -> tuple[JobSpec, dict[str, bytes]]:
    spec, content = job_spec(name="poison"), MODEL_FILES | files
    refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in content.items()}
    return spec.model_copy(update={"model": spec.model.model_copy(update={"files": refs})}), content


@pytest.mark.parametrize("name", POISON)
def test_a_model_that_crashes_a_reader_fails_its_own_job(world: World, name: str) -> None:
    good = world.submit()
    spec, files = poisoned(POISON[name])
    bad = world.submit(spec, 2, files=files)
    view = world.job(bad)
    assert view["state"] == "failed"
    assert "don't fit" in view["error"]
    world.kill()
    world.start()
    for _ in range(3):
        world.tick(1)
    assert run(world, [world.node(1)], good)["state"] == "completed"


@pytest.mark.parametrize(
    ("environment", "evaluation"),
    [
        (
            EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": 10**9, "max_terms": 10**9}),
            Evaluation(problems=0),
        ),
        (EnvironmentSpec(name="reasoning_gym:chain_sum", config={"max_digits": 1}), Evaluation(problems=100_000)),
        (EnvironmentSpec(name="reasoning_gym:n_queens", config={"n": 10**7}), Evaluation(problems=0)),
        (EnvironmentSpec(name="reasoning_gym:chain_sum", config={"min_terms": [[]] * 100}), Evaluation(problems=0)),
        (
            EnvironmentSpec(name="reasoning_gym:basic_arithmetic", config={"operators": ["__import__('os')"]}),
            Evaluation(problems=0),
        ),
        (EnvironmentSpec(name="reasoning_gym:", config={}), Evaluation(problems=0)),
        (EnvironmentSpec(name="os:system", config={}), Evaluation(problems=0)),
    ],
)
def test_settings_that_hang_are_refused_at_intake(
    world: World, environment: EnvironmentSpec, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.services.scorers, "_pool", IMPATIENT)
    spec = job_spec(environment=environment, evaluation=evaluation, budget=10**12)
    job_id = world.chain.fund(spec)
    answer = world.http.post("/v1/jobs", json={"job_id": job_id, "spec": spec.model_dump(mode="json")})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_environment")
    assert world.http.get("/healthz").status_code == 200


def test_a_fault_that_nobody_foresaw_fails_the_job_that_brings_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = world.submit(job_spec(name="bad")), world.submit(job_spec(name="good"), 2)
    real = ticking.advance

    def advance(s: Any, ctx: Any, job: Any, now: float) -> bool:
        if job.job_id == bad:
            raise ZeroDivisionError("what this job brings")
        return real(s, ctx, job, now)

    monkeypatch.setattr(ticking, "advance", advance)
    world.tick(1)
    assert world.job(bad)["state"] == "failed"
    assert "ZeroDivisionError" in world.job(bad)["error"]
    assert world.job(good)["state"] == "running"


def test_trouble_of_the_database_fails_no_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit()

    def locked(*_: object) -> bool:
        raise OperationalError("select 1", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(ticking, "advance", locked)
        world.tick(1)
    assert world.job(job)["state"] == "running"


def test_what_a_host_says_of_a_job_is_tried_before_it_counts(world: World) -> None:
    """A host that finds a good job at fault doesn't fail it; its owner can read what it said, until work is done."""
    job = world.submit()
    liar, honest = world.node(1), world.node(2)
    lease = liar.work()
    assert lease is not None
    assert liar.fail(lease, "job_fault").status_code == 200
    assert world.job(job)["state"] == "running"
    assert "as the test wants it" in world.job(job)["error"]
    honest.do(honest.work())
    assert world.job(job)["error"] is None
    assert run(world, [honest], job)["state"] == "completed"


def test_every_test_shares_one_real_sandbox() -> None:
    assert "seccomp" in SANDBOX.start()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"prompt": "x" * 70_000 + "{question}"}, "spec_too_large"),
        (
            {"environment": EnvironmentSpec(name="reasoning_gym:chain_sum", config={"x": ["y" * 70_000]})},
            "spec_too_large",
        ),
    ],
)
def test_specifications_that_every_view_would_carry_are_bounded(
    world: World, changes: dict[str, Any], code: str
) -> None:
    spec = job_spec(**changes)
    body = {"job_id": world.chain.fund(spec), "spec": spec.model_dump(mode="json")}
    answer = world.http.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (413, code)


def test_a_model_of_many_large_files_is_refused_before_it_is_sent(world: World) -> None:
    many = {f"model-{n:05}-of-00020.safetensors": FileRef(sha256="0x" + f"{n:064x}", size=2**32) for n in range(1, 21)}
    many[INDEX] = FileRef(sha256="0x" + "99" * 32, size=100)
    spec = job_spec()
    small = {name: ref for name, ref in spec.model.files.items() if name != SINGLE}
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"files": {**small, **many}})})
    body = {"job_id": world.chain.fund(spec), "spec": spec.model_dump(mode="json")}
    answer = world.http.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "model_too_large")
    too_many = {f"model-{n:05}-of-00300.safetensors": {"sha256": "0x" + f"{n:064x}", "size": 1} for n in range(300)}
    body["spec"]["model"]["files"].update(too_many)  # type: ignore[index]
    assert world.http.post("/v1/jobs", json=body).json()["code"] == "invalid_message"

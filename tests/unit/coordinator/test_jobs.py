"""Taking jobs in: the escrow stands for them, the blobs fit, the model fits the job."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from httpx import Response

from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import Grpo, JobSpec, ModelRef, Prices, RewardSpec, Sampling, SubmitJob, Verification
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.signing import Domain
from r1net.protocol.weight_files import INDEX
from r1net.protocol.work import PublishTask
from tests.unit.coordinator.jobs import CONFIG, MODEL_FILES, file_of, job_spec, key, sharded
from tests.unit.coordinator.network import World, upload_header


def post(world: World, job_id: str, spec: JobSpec) -> Response:
    answer: Response = world.http.post("/v1/jobs", content=SubmitJob(job_id=job_id, spec=spec).model_dump_json())
    return answer


@pytest.mark.parametrize(
    "change",
    [
        {"closed_at": 1},
        {"spec_digest": "0x" + "00" * 32},
        {"submitter": key(5).address},
        {"token": key(5).address},
        {"funded": 10**9 - 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_escrow_must_stand_for_the_job(world: World, change: dict[str, Any]) -> None:
    spec = job_spec()
    job_id = world.chain.fund(spec)
    world.chain.jobs[job_id] = replace(world.chain.jobs[job_id], **change)
    answer = post(world, job_id, spec)
    assert (answer.status_code, answer.json()["code"]) == (402, "unfunded_job")
    assert world.http.get("/v1/jobs").json() == []


def test_a_job_the_escrow_does_not_know_is_refused(world: World) -> None:
    assert post(world, "0x" + "77" * 32, job_spec()).json()["code"] == "unfunded_job"
    world.chain.away = True
    assert post(world, "0x" + "77" * 32, job_spec()).status_code == 503


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sampling": Sampling(max_tokens=131072), "stage": Grpo(rounds=1, group_size=4096)}, "group_too_large"),
        ({"rewards": (RewardSpec(name="kindness"),)}, "unknown_reward"),
        ({"environment": EnvironmentSpec(name="reasoning_gym:no_such_thing")}, "bad_environment"),
        ({"environment": EnvironmentSpec(name="elsewhere:chain_sum")}, "bad_environment"),
    ],
)
def test_a_job_must_be_workable(world: World, change: dict[str, Any], code: str) -> None:
    spec = job_spec(**change)
    answer = post(world, world.chain.fund(spec), spec)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_submitting_again_changes_nothing(world: World) -> None:
    job_id = world.submit()
    before = world.job(job_id)
    assert post(world, job_id, job_spec()).json() == before
    assert post(world, job_id, job_spec(name="other")).json()["code"] == "job_exists"


def test_a_job_waits_for_its_model_and_starts_by_itself(world: World) -> None:
    spec = job_spec()
    job_id = world.chain.fund(spec)
    view = post(world, job_id, spec).json()
    assert view["state"] == "waiting_for_model"
    assert sorted(view["missing_blobs"]) == sorted(sha256(data) for data in MODEL_FILES.values())
    for data in MODEL_FILES.values():
        digest = sha256(data)
        assert world.http.head(f"/v1/blobs/{digest}").status_code == 404
        assert world.upload(job_id, data).status_code == 201
        assert world.upload(job_id, data).status_code == 200
        assert world.http.head(f"/v1/blobs/{digest}").headers["content-length"] == str(len(data))
    assert world.job(job_id)["state"] == "running"
    part = world.http.get(f"/v1/blobs/{digest}", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])


def test_a_second_job_with_the_same_model_starts_at_once(world: World) -> None:
    world.submit()
    spec = job_spec(name="again")
    assert post(world, world.chain.fund(spec, 2), spec).json()["state"] == "running"


def test_only_expected_blobs_are_taken_and_only_whole(world: World) -> None:
    spec = job_spec()
    job_id = world.chain.fund(spec)
    post(world, job_id, spec)
    assert world.upload(job_id, b"x").json()["code"] == "unexpected_blob"
    headers = upload_header(world.domain, job_id, world.clock())
    data = MODEL_FILES["config.json"]
    digest = sha256(data)
    wrong = world.http.put(f"/v1/blobs/{digest}", content=b"y" * len(data), headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_hash")
    large = world.http.put(f"/v1/blobs/{digest}", content=data + b" ", headers=headers)
    assert (large.status_code, large.json()["code"]) == (413, "blob_too_large")
    small = world.http.put(f"/v1/blobs/{digest}", content=data[:-1], headers=headers)
    assert (small.status_code, small.json()["code"]) == (422, "wrong_length")
    chunked = world.http.put(f"/v1/blobs/{digest}", content=iter([data, b" "]), headers=headers)
    assert (chunked.status_code, chunked.json()["code"]) == (411, "length_required")
    assert world.http.get(f"/v1/blobs/{digest}").json()["code"] == "unknown_blob"
    assert world.http.put("/v1/blobs/0x12", content=b"").status_code == 422
    assert list((world.folder / "blobs" / "incoming").iterdir()) == []


def test_only_the_submitter_uploads_the_model_and_only_for_a_while(world: World) -> None:
    spec = job_spec()
    job_id = world.chain.fund(spec)
    post(world, job_id, spec)
    data = MODEL_FILES["config.json"]
    target = f"/v1/blobs/{sha256(data)}"
    now = world.clock()
    headers = {
        "nobody": {},
        "somebody": upload_header(world.domain, job_id, now, key(9)),
        "elsewhere": upload_header(Domain(1, world.domain.registry), job_id, now),
        "too early": upload_header(world.domain, job_id, now - 7200),
        "too long": upload_header(world.domain, job_id, now + 86400),
        "another job": upload_header(world.domain, "0x" + "77" * 32, now),
        "no message": {"R1-Upload": "[" * 1000},
    }
    answers = {name: world.http.put(target, content=data, headers=fields) for name, fields in headers.items()}
    assert {name: (answer.status_code, answer.json()["code"]) for name, answer in answers.items()} == {
        "nobody": (401, "not_signed"),
        "somebody": (401, "bad_upload_signature"),
        "elsewhere": (401, "bad_upload_signature"),
        "too early": (401, "bad_expiry"),
        "too long": (401, "bad_expiry"),
        "another job": (404, "unknown_job"),
        "no message": (401, "bad_upload_signature"),
    }
    assert not world.services.blobs.has(sha256(data))


def test_a_worker_uploads_what_it_is_to_publish_and_nothing_else(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    lease = None
    while lease is None or not isinstance(lease.task, PublishTask):
        for node in nodes:
            lease = node.work()
            if lease is not None and isinstance(lease.task, PublishTask):
                break
            if lease is not None:
                assert node.do(lease).status_code in (200, 202)
        world.tick(1)
    data = file_of(lease.task.version.number, "policy")
    target = f"/v1/blobs/{sha256(data)}"
    other = next(one for one in nodes if one is not node)
    stranger = world.http.put(target, content=data, headers=other.headers("PUT", target, data))
    assert (stranger.status_code, stranger.json()["code"]) == (403, "unexpected_blob")
    submitter = world.http.put(target, content=data, headers=upload_header(world.domain, job_id, world.clock()))
    assert (submitter.status_code, submitter.json()["code"]) == (403, "unexpected_blob")
    elsewhere = f"/v1/blobs/{sha256(b'x')}"
    foreign = world.http.put(elsewhere, content=data, headers=node.headers("PUT", elsewhere, data))
    assert (foreign.status_code, foreign.json()["code"]) == (403, "wrong_digest")
    assert node.publish(lease).status_code == 200


@pytest.mark.parametrize(
    "broken",
    [
        {"tokenizer.json": b"{}"},
        {"config.json": b"{}"},
        {"config.json": b"nonsense"},
        {"config.json": b'{"vocab_size": 9}'},
        {"config.json": json.dumps(CONFIG | {"model_type": "mamba"}).encode()},
        {"config.json": json.dumps(CONFIG | {"max_position_embeddings": 20}).encode()},
        {INDEX: b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'},
        {INDEX: b'{"weight_map": {"a": "../../etc/passwd"}}'},
        {INDEX: b'{"weight_map": ' + b"[" * 100_000},
    ],
    ids=[
        *("tokenizer", "no vocabulary", "no JSON", "stop id outside", "untested family", "too short"),
        *("unnamed shard", "foreign shard", "deep index"),
    ],
)
def test_a_model_that_does_not_fit_fails_the_job_with_the_reason(world: World, broken: dict[str, bytes]) -> None:
    files = (sharded(2) if INDEX in broken else MODEL_FILES) | broken
    refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
    spec = job_spec(model=ModelRef(name="broken", files=refs))
    job_id = world.chain.fund(spec)
    post(world, job_id, spec)
    for data in files.values():
        assert world.upload(job_id, data).status_code == 201
    view = world.job(job_id)
    assert view["state"] == "failed"
    assert "its files don't fit the job" in view["error"]


def test_a_model_in_shards_is_worked_on(world: World) -> None:
    files = sharded(3)
    refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
    job_id = world.submit(job_spec(model=ModelRef(name="large", files=refs)), files=files)
    assert world.job(job_id)["state"] == "running"


def test_unknown_things_are_problems(world: World) -> None:
    job_id = world.submit()
    for target, code in {
        "/v1/jobs/0x00": "unknown_job",
        "/v1/jobs/0x00/rounds": "unknown_job",
        "/v1/jobs/0x00/evaluations": "unknown_job",
        "/v1/jobs/0x00/traces": "unknown_job",
        f"/v1/jobs/{job_id}/traces/0x00/proof": "unknown_trace",
        f"/v1/jobs/{job_id}/rounds/0/attempts/1/outcome": "unknown_attempt",
        "/v1/epochs/1/report": "unknown_epoch",
        "/v2": "not_found",
    }.items():
        answer = world.http.get(target)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.http.delete("/v1/jobs").json()["code"] == "method_not_allowed"
    assert world.http.get(f"/v1/accounts/{key(1).address}/rewards").json()["earnings"] == []


def test_the_network_introduces_itself(world: World) -> None:
    info = world.http.get("/v1/network").json()
    assert (info["chain_id"], info["coordinator"]) == (31337, key(0).address)
    assert world.http.get("/healthz").json() == {"status": "ok"}
    assert json.loads(world.http.get("/openapi.json").content)["info"]["title"] == "r1net coordinator"


def test_a_job_in_which_a_lie_pays_is_refused(world: World) -> None:
    """Even if all of its work were drawn; the same job is taken in where more is at stake."""
    spec = job_spec(prices=Prices(trained_token=10**21), budget=10**24, verification=Verification())
    job_id = world.chain.fund(spec, 1)
    body = json.dumps({"job_id": job_id, "spec": spec.model_dump(mode="json")})
    world.services.ctx.risk.wei = 10**21
    answer = world.http.post("/v1/jobs", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "cheating_pays")
    world.services.ctx.risk.wei = 10**24
    assert world.http.post("/v1/jobs", content=body).status_code == 200

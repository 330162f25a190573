"""A job on a submitter's own rows: it starts when they are here, and what they are worth is computed from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1net.datasets import Dataset
from r1net.datasets.intake import Prepared, prepare
from r1net.local_files import LocalFiles
from r1net.protocol.job import Evaluation, JobSpec, RewardSpec
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.work import RolloutTask
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec
from tests.unit.coordinator.network import World

ROWS = [{"question": f"{a}+{b}?", "answer": str(a + b)} for a in range(6) for b in range(6)]


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Prepared, LocalFiles]:
    files = LocalFiles(tmp_path / "files")
    return prepare(Dataset(ROWS, heldout=6), files, lambda _: [], 0, 128), files


def job_on(rows: Prepared, **changes: Any) -> JobSpec:
    environment = EnvironmentSpec(name="rows:sums", data=rows.data)
    return job_spec(environment=environment, rewards=(RewardSpec(name="correct"),), **changes)


def shards(files: LocalFiles, spec: JobSpec) -> dict[str, bytes]:
    return {shard.sha256: files.path(shard.sha256).read_bytes() for shard in spec.environment.shards}


def test_a_job_waits_for_its_rows_and_runs_on_them(world: World, rows: tuple[Prepared, LocalFiles]) -> None:
    prepared, files = rows
    spec = job_on(prepared)
    job_id = world.submit(spec)
    assert world.job(job_id)["state"] == "waiting_for_model"
    assert set(world.job(job_id)["missing_blobs"]) == {shard.sha256 for shard in spec.environment.shards}
    for data in shards(files, spec).values():
        assert world.upload(job_id, data).status_code in (200, 201)
    world.tick()
    assert world.job(job_id)["state"] == "running"
    node = world.node(1)
    lease = node.work("rollout")
    assert lease is not None
    assert isinstance(lease.task, RolloutTask)
    traces = node.traces(lease)
    assert {trace.reward_parts["correct"] for trace in traces} <= {0.0, 1.0}
    assert node.submit(lease, node.sign(lease, traces)).status_code == 200
    shown = world.http.get(f"/v1/jobs/{job_id}/traces").json()
    questions = {row["question"] for row in ROWS}
    assert all(any(question in trace["prompt"] for question in questions) for trace in shown)


def test_rewards_are_recomputed_from_the_rows(world: World, rows: tuple[Prepared, LocalFiles]) -> None:
    prepared, files = rows
    spec = job_on(prepared)
    world.submit(spec, files={**MODEL_FILES, **shards(files, spec)})
    world.tick()
    node = world.node(1)
    lease = node.work("rollout")
    assert lease is not None
    traces = node.traces(lease)
    other = 1 - (traces[0].reward or 0)
    lied = [traces[0].model_copy(update={"reward": other, "reward_parts": {"correct": other}}), *traces[1:]]
    answer = node.submit(lease, node.sign(lease, lied))
    assert (answer.status_code, answer.json()["code"]) == (422, "reward_mismatch")


@pytest.mark.parametrize("change", [lambda data: b"x" * len(data), lambda data: data.replace(b"question", b"quastion")])
def test_rows_that_are_none_fail_the_job(change: Any, world: World, rows: tuple[Prepared, LocalFiles]) -> None:
    prepared, files = rows
    bad = {digest: change(data) for digest, data in shards(files, job_on(prepared)).items()}
    local = {digest: files.add(data) for digest, data in bad.items()}
    renamed = [shard.model_copy(update={"sha256": local[shard.sha256].sha256}) for shard in prepared.data.train]
    pairs = zip(renamed, prepared.data.train, strict=True)
    data = prepared.data.model_copy(update={"train": tuple(renamed), "heldout": ()})
    spec = job_spec(environment=EnvironmentSpec(name="rows:sums", data=data), evaluation=Evaluation(problems=0))
    job_id = world.submit(spec, files={**MODEL_FILES, **{shard.sha256: bad[old.sha256] for shard, old in pairs}})
    world.tick()
    view = world.job(job_id)
    assert view["state"] == "failed"
    assert "row" in view["error"]


def test_more_problems_than_rows_are_refused_before_anything_is_uploaded(
    world: World, rows: tuple[Prepared, LocalFiles]
) -> None:
    spec = job_on(rows[0], evaluation=Evaluation(problems=7))
    job_id = world.chain.fund(spec, 1)
    answer = world.http.post("/v1/jobs", json={"job_id": job_id, "spec": spec.model_dump(mode="json")})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_environment")
    assert "6 held-out rows" in answer.text

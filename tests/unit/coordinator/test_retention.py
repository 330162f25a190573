"""What is deleted some time after a job's end, and what is not."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from r1coordinator.store.retention import keep_house
from r1coordinator.store.tables import BundleRow, DueRow, TraceRow
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import ModelRef
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec, sharded
from tests.unit.coordinator.network import World, run

DAYS = 30
DAY = 86400.0


def finish(world: World, number: int = 1, name: str = "sums") -> str:
    """A completed job, all of it settled."""
    job_id = world.submit(job_spec(name=name), number)
    assert run(world, [world.node(1), world.node(2)], job_id)["state"] == "completed"
    with world.services.db.write() as s:
        for due in s.scalars(select(DueRow)):
            due.state = "settled"
    return job_id


def keep(world: World, days: float = 0.0) -> int:
    """Let days pass, and take every step that is due; how many files were deleted."""
    world.clock.time += days * DAY
    deleted, steps = 0, 0
    while steps < 2:  # one step finds nothing more of one job, and notes it
        found = keep_house(world.services.db, world.services.blobs, DAYS, world.clock())
        deleted, steps = deleted + found, 0 if found else steps + 1
    return deleted


def files_of(world: World, job_id: str) -> set[str]:
    with world.services.db.read() as s:
        bundles = set(s.scalars(select(BundleRow.sha256).where(BundleRow.job_id == job_id)))
    return bundles | {sha256(data) for data in MODEL_FILES.values()}


def here(world: World, names: set[str]) -> set[str]:
    return {name for name in names if world.services.blobs.has(name)}


def test_a_job_that_is_over_keeps_its_files_for_some_days(world: World) -> None:
    job_id = finish(world)
    names = files_of(world, job_id)
    assert len(names) > 5
    version = world.job(job_id)["version"]["policy"]
    assert (keep(world), keep(world, DAYS - 1)) == (0, 0)
    assert here(world, names) == names
    assert keep(world, 2) > len(names), "the versions' files besides"
    assert here(world, names | {version}) == set()
    assert keep(world) == 0


def test_what_is_gone_is_answered_with_its_reason(world: World) -> None:
    job_id = finish(world)
    digest = world.http.get(f"/v1/jobs/{job_id}/traces").json()[0]["trace_digest"]
    names = files_of(world, job_id)
    keep(world)
    keep(world, DAYS + 1)
    for name in names:
        gone = world.http.get(f"/v1/blobs/{name}")
        assert (gone.status_code, gone.json()["code"]) == (410, "gone")
        assert f"30 days after the end of job {job_id}" in gone.json()["detail"]
    for part in ("", f"/{digest}/submission"):
        answer = world.http.get(f"/v1/jobs/{job_id}/traces{part}")
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    assert world.http.get(f"/v1/blobs/{sha256(b'never here')}").status_code == 404
    assert world.job(job_id)["state"] == "completed"


def test_a_running_job_keeps_everything(world: World) -> None:
    job_id = world.submit()
    keep(world)
    assert keep(world, 10 * DAYS) == 0
    assert here(world, files_of(world, job_id)) == files_of(world, job_id)


@pytest.mark.parametrize("state", ["waiting", "settling", "held"])
def test_nothing_goes_while_something_is_unsettled(world: World, state: str) -> None:
    job_id = finish(world)
    with world.services.db.write() as s:
        due = s.scalars(select(DueRow)).first()
        assert due is not None
        due.state = state
    keep(world)
    assert keep(world, 2 * DAYS) == 0
    with world.services.db.write() as s:
        s.get_one(DueRow, due.id).state = "settled"
        s.scalars(select(TraceRow).where(TraceRow.job_id == job_id)).first().due_id = None  # type: ignore[union-attr]
    assert keep(world, 2 * DAYS) == 0


def test_a_file_that_another_job_has_stays(world: World) -> None:
    """Same model, later job: only what is the first one's alone goes, and the later one goes on."""
    first = finish(world)
    keep(world)
    world.clock.time += (DAYS + 1) * DAY
    second = world.submit(job_spec(name="later"), 2)
    assert keep(world) > 0
    model = {sha256(data) for data in MODEL_FILES.values()}
    assert here(world, model) == model
    assert here(world, files_of(world, first) - model) == set()
    assert run(world, [world.node(3)], second)["state"] == "completed"


def test_a_model_that_was_deleted_can_be_uploaded_again(world: World) -> None:
    finish(world)
    keep(world)
    keep(world, DAYS + 1)
    assert run(world, [world.node(3)], world.submit(job_spec(name="again"), 2))["state"] == "completed"


def test_many_files_go_in_small_steps(world: World) -> None:
    files = sharded(70)
    refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
    spec = job_spec(model=ModelRef(name="many", files=refs))
    job_id = world.chain.fund(spec)
    body = f'{{"job_id": "{job_id}", "spec": {spec.model_dump_json()}}}'
    assert world.http.post("/v1/jobs", content=body).status_code == 200
    for data in files.values():
        assert world.upload(job_id, data).status_code == 201
    assert run(world, [world.node(1)], job_id)["state"] == "completed"
    with world.services.db.write() as s:
        for due in s.scalars(select(DueRow)):
            due.state = "settled"
    services, now = world.services, world.clock()
    assert keep_house(services.db, services.blobs, DAYS, now) == 0
    assert keep_house(services.db, services.blobs, DAYS, now + 31 * DAY) == 50
    world.clock.time += 31 * DAY
    assert keep(world) > 23
    assert here(world, {sha256(data) for data in files.values()}) == set()


def test_a_model_that_never_comes_whole_does_not_lie_here_for_ever(world: World) -> None:
    spec = job_spec()
    job_id = world.chain.fund(spec)
    body = f'{{"job_id": "{job_id}", "spec": {spec.model_dump_json()}}}'
    assert world.http.post("/v1/jobs", content=body).status_code == 200
    data = MODEL_FILES["model.safetensors"]
    assert world.upload(job_id, data).status_code == 201
    assert keep(world, DAYS - 1) == 0
    assert keep(world, 2) == 1
    assert world.http.get(f"/v1/blobs/{sha256(data)}").json()["code"] == "gone"
    assert sha256(data) in world.job(job_id)["missing_blobs"]
    for content in MODEL_FILES.values():
        assert world.upload(job_id, content).status_code == 201
    assert run(world, [world.node(1)], job_id)["state"] == "completed"

"""What a dispute over a trace rests on: the worker's own signature, and the weights that the trace names."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1coordinator.store.tables import BundleRow
from r1net.protocol.canonical import sha256
from r1net.protocol.job import Grpo
from r1net.protocol.merkle import verify
from r1net.protocol.signing import submission_values
from r1net.protocol.trace import SignedTrace, TraceBundle
from tests.unit.coordinator.jobs import file_of, job_spec
from tests.unit.coordinator.network import World, run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_trace_comes_with_what_its_worker_signed(world: World) -> None:
    job_id = world.submit()
    nodes = [world.node(1), world.node(2)]
    run(world, nodes, job_id)
    for row in world.http.get(f"/v1/jobs/{job_id}/traces?limit=1000").json():
        answer = world.http.get(f"/v1/jobs/{job_id}/traces/{row['trace_digest']}/submission")
        signed = SignedTrace.parse(answer.content)
        values = submission_values(signed.lease_id, signed.traces_root, signed.count)
        assert world.domain.signer("Submission", values, signed.signature) == signed.worker == row["trace"]["worker"]
        assert verify(signed.traces_root, ["bytes32"], (signed.trace_digest,), signed.proof)
        data = world.http.get(f"/v1/blobs/{signed.bundle}").content
        bundle = TraceBundle.parse(data)
        assert sha256(data) == signed.bundle
        assert bundle.tree().root == signed.traces_root
        assert bundle.traces[signed.position].digest() == signed.trace_digest == row["trace_digest"]


def test_unknown_traces_and_older_bundles(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    digest = world.http.get(f"/v1/jobs/{job_id}/traces").json()[0]["trace_digest"]
    other = world.http.get(f"/v1/jobs/{job_id}/traces/0x{'0' * 64}/submission")
    assert (other.status_code, other.json()["code"]) == (404, "unknown_trace")
    with world.services.db.write() as s:
        for bundle in s.query(BundleRow):
            bundle.signature = None
    older = world.http.get(f"/v1/jobs/{job_id}/traces/{digest}/submission")
    assert (older.status_code, older.json()["code"]) == (404, "no_signature")


def test_policies_outlive_optimizer_states(tmp_path: Path) -> None:
    world = World(tmp_path, replayable_versions=4)
    job_id = world.submit(job_spec(stage=Grpo(rounds=7, groups_per_round=4, group_size=2)))
    run(world, [world.node(1)], job_id)
    published = world.job(job_id)["version"]["number"]
    kept = {
        part: [n for n in range(1, published + 1) if world.services.blobs.has(sha256(file_of(n, part)))]
        for part in ("policy", "optimizer")
    }
    assert kept == {"policy": [4, 5, 6, 7], "optimizer": [6, 7]}

"""The worker's own metrics file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from r1net.protocol.job import PolicyVersion
from r1net.protocol.work import Lease, RolloutTask
from r1node.journal import note_metrics
from tests.unit.coordinator.jobs import key
from tests.unit.node.test_training_groups import DIGEST, task


def lease(number: int, work: object) -> Lease:
    return Lease.model_validate(
        {
            "id": f"lease {number}",
            "job_id": DIGEST,
            "worker": key(1).address,
            "expires_at": 1.0,
            "heartbeat_every": 1.0,
            "task": work,
        }
    )


def test_each_lease_adds_a_line_to_its_jobs_file(tmp_path: Path) -> None:
    rollout = RolloutTask(split="heldout", round=0, version=PolicyVersion(number=4, policy=DIGEST), groups=(0,))
    note_metrics(tmp_path, lease(1, rollout), rollout, 30, {"rollout/tokens_per_second": 10.5})
    note_metrics(tmp_path, lease(2, task()), task(), 20, {"grad_norm": 0.5})
    first, second = map(json.loads, (tmp_path / "jobs" / DIGEST / "metrics.jsonl").read_text().splitlines())
    assert (first.pop("time"), second.pop("time")) > (0, 0)
    names = ["lease", "kind", "split", "round", "version", "tokens"]
    assert [first[name] for name in names] == ["lease 1", "rollout", "heldout", 0, 4, 30]
    assert [second[name] for name in names] == ["lease 2", "train", "train", 0, 0, 20]
    assert (first["rollout/tokens_per_second"], second["grad_norm"]) == (10.5, 0.5)


def test_a_file_that_cannot_be_written_costs_no_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "jobs").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        note_metrics(tmp_path, lease(1, task()), task(), 1, {})
    assert "could not write" in caplog.text

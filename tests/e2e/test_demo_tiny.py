"""`make demo PROFILE=tiny`, as a person would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from r1net import R1
from r1net.protocol.merkle import verify
from tests.e2e.demo.profiles import TINY
from tests.e2e.demo.summary import Summary
from tests.e2e.harness.chain import ROOT


@pytest.mark.timeout(600)
def test_tiny_demo_shows_the_whole_promise(tmp_path: Path, model: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.demo", "--profile", "tiny", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = Summary.model_validate_json((tmp_path / "demo" / "summary.json").read_text())
    assert summary.eval_last.low > summary.eval_first.high
    assert summary.provenance_verified
    assert summary.audit_holds
    assert summary.traces_anchored == summary.traces_accepted
    assert all(len(set(by_node.values())) == 1 for by_node in summary.digests.values())
    assert {len(by_node) for by_node in summary.digests.values()} <= {1, 2, 3}
    assert len(summary.claims) == 2
    assert all(claim.wei > 0 for claim in summary.claims)

    justice = summary.justice
    assert justice.done
    assert justice.checked >= 8
    assert len(justice.convictions) == 2
    for one in justice.convictions:
        assert one.slashed_wei == 80 * R1
        assert len(one.transactions) == 7, "open, answer, draw, commit, reveal, tally, resolve"
        assert all(one.accused.lower() != claim.account.lower() for claim in summary.claims)
    robbery = justice.robbery
    assert robbery.foiled
    assert robbery.wanted_wei == TINY.budget - sum(claim.wei for claim in summary.claims), "all that was left"
    assert robbery.slashed_wei - robbery.bond_wei == 80 * R1
    assert len(robbery.transactions) == 7, "a juror has derived the line"
    penalties = 3 * 80 * R1
    assert justice.bounty_wei == penalties // 2 - 3 * (R1 // 10), "half of it, less the juror's fees"
    assert justice.burned_wei == penalties // 2 + robbery.bond_wei

    out = tmp_path / "demo" / "out"
    rows = pq.read_table(out / "traces.parquet").to_pylist()
    assert len(rows) == summary.traces_accepted
    for row in rows[:: max(1, len(rows) // 20)]:
        assert verify(summary.traces_root, ["bytes32"], (row["trace_digest"],), row["proof"])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == list(range(summary.rounds))
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(out).num_parameters() > 1_000_000

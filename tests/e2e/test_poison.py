"""Jobs that no host can work on, on a real network: each stops itself, and no process of anybody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1net import Client, Run
from r1net.protocol.job import JobSpec
from r1net.submission import JobRefused
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import wait_until
from tests.e2e.test_faults import finish, submit
from tests.unit.sdk.checkpoints import unchecked

pytestmark = pytest.mark.timeout(400)


def unknown_architecture(folder: Path) -> None:
    change(folder, model_type="nobody_knows_this", architectures=["NobodyKnowsThis"])


def impossible_shape(folder: Path) -> None:
    change(folder, num_attention_heads=7, hidden_size=13)


def wrong_types(folder: Path) -> None:
    change(folder, hidden_size="many", rope_parameters=[1, 2])


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)


def weights_of_a_huge_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


REFUSED_AT_INTAKE = "are not supported"
POISONS: dict[Callable[[Path], None], str] = {
    unknown_architecture: REFUSED_AT_INTAKE,
    impossible_shape: "can't be loaded",
    wrong_types: "can't be loaded",
    no_weights: "can't be loaded",
    weights_of_a_huge_header: "can't be loaded",
}
"""With what a host says of each, or the coordinator, where config.json alone tells."""


def smuggle(client: Client, like: JobSpec, folder: Path) -> Run:
    """Fund and announce a job on a folder as it is: nobody has to use `Client.train`, which looks into it."""
    data = {name: (folder / name).read_bytes() for name in like.model.files}
    spec = like.model_copy(update={"name": folder.name, "model": unchecked(data)})
    job_id = client.chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
    try:
        return client.announce(job_id, spec, folder)
    except JobRefused:  # config.json alone told
        return client.run(job_id)


def alive(network: Network) -> bool:
    return all(network.supervisor.processes[name].alive for name in ("coordinator", "node1", "node2"))


def said(run: Run) -> str:
    return run.view().error or ""


def test_models_that_libraries_refuse_end_no_agent(
    network: Network, client: Client, model: Path, tmp_path: Path
) -> None:
    """Who finds the fault gives the job back and stays away from it; good jobs beside them come to their end."""
    logs = {name: network.supervisor.processes[name].log for name in ("node1", "node2")}
    told = {name: len(log.read_text()) for name, log in logs.items()}  # of the tests of faults before this one
    runs = {}
    before = submit(client, model, "before poison", rounds=1)
    for poison, words in POISONS.items():
        folder = tmp_path / poison.__name__
        shutil.copytree(model, folder)
        poison(folder)
        runs[smuggle(client, before.view().spec, folder)] = words
    good = submit(client, model, "beside poison", rounds=1)
    for run, words in runs.items():
        wait_until(lambda run=run, words=words: words in said(run), f"{run.job_id} to say what is wrong", 120)
    finish(before)
    finish(good)
    assert alive(network)
    at_intake = [words == REFUSED_AT_INTAKE for words in runs.values()]
    assert [run.view().state for run in runs] == ["failed" if refused else "running" for refused in at_intake]
    closed = [client.chain.escrow.job(run.job_id).closed_at > 0 for run in runs]
    assert closed == at_intake, "what is refused after it was paid is closed by the same call"
    for run, done in zip(runs, closed, strict=True):
        if not done:
            client.chain.escrow.close(run.job_id)
    over = {"failed", "cancelled"}
    wait_until(lambda: {run.view().state for run in runs} <= over, "closed jobs to give out no more work", 60)
    for name, log in logs.items():
        assert "Traceback" not in log.read_text()[told[name] :]

"""Jobs that no host can work on, on a real network: each stops itself, and no process of anybody else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r1net import Client, Run
from tests.e2e.harness.network import Network
from tests.e2e.harness.processes import wait_until
from tests.e2e.test_faults import finish, submit

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


POISONS: tuple[Callable[[Path], None], ...] = (
    unknown_architecture,
    impossible_shape,
    wrong_types,
    no_weights,
    weights_of_a_huge_header,
)


def alive(network: Network) -> bool:
    return all(network.supervisor.processes[name].alive for name in ("coordinator", "node1", "node2"))


def said(run: Run) -> str:
    return run.view().error or ""


def test_models_that_libraries_refuse_end_no_agent(
    network: Network, client: Client, model: Path, tmp_path: Path
) -> None:
    """Every host gives each of them back and stays away from it; a good job beside them comes to its end."""
    runs = []
    for poison in POISONS:
        folder = tmp_path / poison.__name__
        shutil.copytree(model, folder)
        poison(folder)
        runs.append(submit(client, folder, poison.__name__, rounds=1))
    good = submit(client, model, "beside poison", rounds=1)
    for run in runs:
        wait_until(lambda run=run: "can't be loaded" in said(run), f"{run.job_id} to say what is wrong", 120)
    finish(good)
    assert alive(network)
    assert [run.view().state for run in runs] == ["running"] * len(runs)
    for run in runs:
        client.chain.escrow.close(run.job_id)
    wait_until(lambda: {run.view().state for run in runs} == {"failed"}, "closed jobs to give out no more work", 60)
    for name in ("node1", "node2"):
        assert "Traceback" not in network.supervisor.processes[name].log.read_text()

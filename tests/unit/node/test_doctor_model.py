"""`r1node doctor --model FOLDER`: is it right for this machine? Yes, with the figures, or no, with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1node.doctor.model import examine_model
from r1node.settings import Settings
from tests.unit.node.test_innocent import write_tokenizer
from tests.unit.node.zoo import ZOO


def folder_of(name: str, folder: Path) -> Path:
    ZOO[name].make().save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize(("name", "how"), [("llama, tied", "built-in kernels"), ("gemma 3", "transformers, slower")])
def test_a_model_that_is_computed_right(name: str, how: str, tmp_path: Path) -> None:
    model, rounded, exact = examine_model(Settings(device="cpu"), folder_of(name, tmp_path))
    assert [finding.verdict for finding in (model, rounded, exact)] == ["ok"] * 3
    assert how in exact.detail
    assert "nats (engine)" in exact.detail


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "mamba"}, "keep a state"),
        ({"model_type": "my_own"}, "no test says"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
    ],
)
def test_a_model_that_is_refused(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = folder_of("llama, tied", tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (finding,) = examine_model(Settings(device="cpu"), tmp_path)
    assert finding.verdict == "failure"
    assert reason in finding.detail
    assert finding.fix


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (finding,) = examine_model(Settings(device="cpu"), tmp_path)
    assert "lacks" in finding.detail

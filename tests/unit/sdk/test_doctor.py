"""`r1net doctor`: what is missing is named, with what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1net.chain import create_keystore
from r1net.doctor import examine
from r1net.findings import Finding
from r1net.jobs.pending import Draft, Pending
from r1net.local_files import LocalFiles
from r1net.settings import Settings
from tests.unit.coordinator.jobs import CONFIG, MODEL_FILES, SUBMITTER_KEY, job_spec, key
from tests.unit.sdk.checkpoints import vectors, write_folder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A wallet, and a coordinator that isn't there."""
    monkeypatch.setenv("R1_CACHE_DIR", str(tmp_path / "cache"))
    create_keystore(tmp_path / "key.json", "secret", key=SUBMITTER_KEY.key, iterations=2)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "password").chmod(0o600)
    return Settings(
        coordinator="http://127.0.0.1:1", key_file=tmp_path / "key.json", password_file=tmp_path / "password"
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    write_folder(folder, {"model.safetensors": vectors("norm")})
    (folder / "config.json").write_text(json.dumps(CONFIG | {"eos_token_id": 7}))
    (folder / "tokenizer.json").write_bytes(MODEL_FILES["tokenizer.json"])
    return folder


def found(settings: Settings, model: Path | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, model).findings}


def test_without_a_coordinator_what_it_would_say_is_left_out(settings: Settings) -> None:
    report = examine(settings)
    assert [(one.check, one.verdict) for one in report.findings] == [
        ("wallet", "ok"),
        ("unfinished", "ok"),
        ("coordinator", "failure"),
    ]
    assert report.exit_code == 3
    assert report.findings[0].detail == SUBMITTER_KEY.address
    assert "check the address" in (report.findings[2].fix or "")


def test_a_wallet_that_is_missing_or_wrong_is_named(settings: Settings, tmp_path: Path) -> None:
    nothing = found(settings.model_copy(update={"key_file": None}))["wallet"]
    assert (nothing.verdict, "R1_KEY_FILE" in (nothing.fix or "")) == ("failure", True)
    gone = found(settings.model_copy(update={"key_file": tmp_path / "none.json"}))["wallet"]
    assert gone.verdict == "failure"
    (tmp_path / "password").write_text("wrong\n")
    assert found(settings)["wallet"].verdict == "failure"


def test_a_job_that_waits_is_told(settings: Settings) -> None:
    job_id = "0x" + "07" * 32
    draft = Draft(spec=job_spec(), folder="/", chain_id=1, escrow=key(5).address, block=0, job_id=job_id)
    Pending(LocalFiles().root / "pending").keep(draft)
    waiting = found(settings)["unfinished"]
    assert (waiting.verdict, f"r1net announce {job_id}" in (waiting.fix or "")) == ("warning", True)


def test_a_model_that_is_computed(settings: Settings, model: Path) -> None:
    told = found(settings, model)["model"]
    assert told.verdict == "ok", told
    assert "sequences up to" in told.detail
    assert told.detail.endswith("bfloat16, ends at 7")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.json", json.dumps(CONFIG | {"model_type": "mamba", "eos_token_id": 7}), "keep a state"),
        ("config.json", json.dumps(CONFIG), "no eos_token_id"),
        ("config.json", "{", "not JSON"),
        ("tokenizer.json", "{}", "tokenizer.json can't be used"),
        ("model.safetensors", "", "model.safetensors"),
    ],
)
def test_a_model_that_is_not_says_why(file: str, content: str, words: str, settings: Settings, model: Path) -> None:
    (model / file).write_text(content)
    told = found(settings, model)["model"]
    assert (told.verdict, words in told.detail) == ("failure", True), told


def test_a_folder_that_is_none_is_told(settings: Settings, tmp_path: Path) -> None:
    assert "no model folder" in found(settings, tmp_path / "nowhere")["model"].detail

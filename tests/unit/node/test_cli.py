"""The command line: where options may stand, and where settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1net.amounts import tokens
from r1net.cli.arguments import shared_first
from r1net.cli.output import plain
from r1net.errors import UsageError
from r1node.cli.context import Context
from r1node.cli.main import SHARED
from r1node.settings import Settings, resolve


@pytest.mark.parametrize(
    ("typed", "parsed"),
    [
        (["status"], ["status"]),
        (["status", "--json"], ["--json", "status"]),
        (
            ["join", "--coordinator", "http://x", "--threads", "2"],
            ["--coordinator", "http://x", "join", "--threads", "2"],
        ),
        (["join", "--worker=gpu1", "--device", "cpu"], ["--worker=gpu1", "join", "--device", "cpu"]),
        (["--worker", "a", "audit", "3", "--rpc-url", "u"], ["--worker", "a", "--rpc-url", "u", "audit", "3"]),
        (["join", "--coordinator"], ["--coordinator", "join"]),
    ],
)
def test_shared_options_may_stand_anywhere(typed: list[str], parsed: list[str]) -> None:
    assert shared_first(typed, SHARED) == parsed


def test_flag_beats_environment_beats_file_beats_user_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve({}, {}).origins["worker"] == "default"
    user = tmp_path / ".config" / "r1net" / "r1.toml"
    user.parent.mkdir(parents=True)
    user.write_text('worker = "user"\nthreads = 7\n')
    assert resolve({}, {}).settings.worker == "user"
    (tmp_path / "r1.toml").write_text('worker = "local"\n')
    assert resolve({}, {}).settings.worker == "local"
    assert resolve({}, {"R1_WORKER": "env"}).settings.worker == "env"
    found = resolve({"worker": "flag", "device": None}, {"R1_WORKER": "env"})
    assert (found.settings.worker, found.origins["worker"]) == ("flag", "flag")
    assert (found.settings.threads, found.origins["device"]) == (7, "default")


def test_a_wrong_setting_is_named_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"'threads' \(from environment\)"):
        resolve({}, {"R1_THREADS": "many"})
    (tmp_path / "r1.toml").write_text("wroker = 1\n")
    with pytest.raises(UsageError, match="wroker"):
        resolve({}, {})
    (tmp_path / "r1.toml").write_text("worker = ")
    with pytest.raises(UsageError, match="not TOML"):
        resolve({}, {})


def test_every_setting_says_what_it_is_or_is_plain() -> None:
    undescribed = {name for name, field in Settings.model_fields.items() if not field.description}
    assert undescribed <= {"device"}


def test_big_integers_survive_json() -> None:
    assert plain({"wei": 10**20, "small": 3, "path": Path("a"), "flag": True}) == {
        "wei": str(10**20),
        "small": 3,
        "path": "a",
        "flag": True,
    }
    assert tokens(1_500_000_000_000_000_000) == "1.5"
    assert tokens("1234000000000000000000") == "1,234"


def test_mirrors_are_folders_and_encrypted_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve({}, {}).settings.mirror_places == []
    named = resolve({}, {"R1_MIRRORS": "https://a.example/x, ~/archive ,http://127.0.0.1:80,"}).settings
    assert named.mirror_places == ["https://a.example/x", tmp_path / "archive", "http://127.0.0.1:80"]
    with pytest.raises(UsageError, match="not encrypted"):
        resolve({"mirrors": "/here,http://a.example"}, {})
    with pytest.raises(UsageError, match="no http"):
        resolve({"mirrors": "file:///etc"}, {})


def test_another_process_gets_the_flags_that_were_typed() -> None:
    flags = {
        "port_map": True,
        "yes": False,
        "min_price": 7,
        "worker": None,
        "password_file": "secret",
        "data_dir": "a b",
    }
    command = Context(flags, as_json=True).command("join")
    assert command[3:] == ["join", "--port-map", "--min-price", "7", "--data-dir", "a b", "--json"]

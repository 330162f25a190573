"""Bells, settings and the command line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from r1coordinator import cli
from r1coordinator.bell import Bell, poll
from r1coordinator.dashboard.page import policy
from r1coordinator.settings import load_settings
from r1net.chain import create_keystore
from r1net.errors import UsageError


async def never() -> bool:
    return False


def test_a_bell_wakes_whoever_waits() -> None:
    async def scene() -> tuple[int, float]:
        bell, looks = Bell(), []
        bell.attach()
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, bell.ring)
        started = loop.time()

        def look() -> int:
            looks.append(1)
            return len(looks)

        found = await poll(bell, look, lambda count: count == 2, wait=5, beat=5, gone=never)
        return found, loop.time() - started

    found, seconds = asyncio.run(scene())
    assert found == 2
    assert seconds < 2


def test_waiting_ends_in_time_or_when_the_asker_is_gone() -> None:
    async def gone() -> bool:
        return True

    async def scene() -> list[float]:
        bell = Bell()
        bell.attach()
        loop, spans = asyncio.get_running_loop(), []
        for wait, absent in ((0.1, never), (60.0, gone), (0.0, never)):
            started = loop.time()
            await poll(bell, lambda: None, lambda _: False, wait, beat=0.03, gone=absent)
            spans.append(loop.time() - started)
        return spans

    timed, absent, at_once = asyncio.run(scene())
    assert 0.1 <= timed < 1
    assert max(absent, at_once) < 1


def test_nothing_is_given_to_an_asker_who_is_gone() -> None:
    async def gone() -> bool:
        return True

    async def scene() -> int:
        bell, looks = Bell(), []
        bell.attach()
        asyncio.get_running_loop().call_later(0.02, bell.ring)
        await poll(bell, lambda: looks.append(1), lambda _: False, wait=60, beat=60, gone=gone)
        return len(looks)

    assert asyncio.run(scene()) == 1


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "r1coordinator.toml"
    file.write_text('port = 1\nhost = "file"\nlease_seconds = 30\n')
    environ = {"R1_COORDINATOR_PORT": "2", "R1_COORDINATOR_HOST": "env", "OTHER": "x"}
    settings = load_settings({"port": 3, "blobs": None}, file, environ)
    assert (settings.port, settings.host, settings.lease_seconds, settings.heartbeat_seconds) == (3, "env", 30, 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [("prot = 1", "prot"), ("port = 'x'", "port"), ("port = ", "TOML"), ("heartbeat_seconds = 60", "shorter")],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        load_settings({}, file, {})


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["r1coordinator", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(str(caught.value.code))


def test_migrate_then_serve_asks_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/deep/r1.db"
    assert run_cli(monkeypatch, "migrate", "--database", url, "--json") == 0
    assert '"revision"' in capsys.readouterr().out
    assert run_cli(monkeypatch, "migrate", "--database", url) == 0
    assert run_cli(monkeypatch, "migrate", "--database", "no such://thing") == 2
    assert "try:" in capsys.readouterr().err
    assert run_cli(monkeypatch, "serve", "--config", "nowhere.toml") == 2
    assert run_cli(monkeypatch, "serve", "--deployment", "nowhere.json") == 5
    (tmp_path / "deployment.json").write_text(
        '{"chain_id":1,"block":0,"contracts":{"NodeRegistry":"0x1111111111111111111111111111111111111111"}}'
    )
    assert run_cli(monkeypatch, "serve") == 2
    assert "keystore" in capsys.readouterr().err
    create_keystore(tmp_path / "key.json", "secret", iterations=2)
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    key = ("--keystore", "key.json", "--password-file", "password")
    assert run_cli(monkeypatch, "serve", *key) == 3
    assert "try: run `r1coordinator migrate`" in capsys.readouterr().err
    (tmp_path / "password").write_text("wrong")
    assert run_cli(monkeypatch, "serve", *key) == 4


def test_the_page_runs_only_what_is_in_it() -> None:
    words = policy("<style>a{}</style><script>b()</script>")
    assert "script-src 'sha256-" in words
    assert "unsafe" not in words


def test_the_coordinator_needs_neither_torch_nor_the_node() -> None:
    heavy = "('torch', 'transformers', 'hivemind', 'r1node')"
    code = f"import sys, r1coordinator.api.app; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""A worker as a service: the unit is what systemd takes, and what can't be installed is said."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.errors import KeyFileError, PreflightError, UsageError
from r1node.service import Unit, quoted
from tests.integration.hosts.host import Host


def directives(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_unit_joins_under_the_settings_that_hold_now(
    newcomer: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "a folder 100% with $paces"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("R1_MIN_PRICE", "7")
    monkeypatch.setenv("R1_RPC_URL", "http://127.0.0.1:1/$key%40")
    text = newcomer.read("service", "install", "--print", "--devices", "all")
    found = directives(text)
    words = shlex.split(found["ExecStart"])
    assert words[1:5] == ["-m", "r1node", "join", "--yes"]
    assert dict(pairwise(words))["--devices"] == "all"
    assert str(newcomer.folder) in words
    assert found["Restart"] == "on-failure"
    assert found["WorkingDirectory"] == str(place).replace("%", "%%")
    assert 'Environment="R1_RPC_URL=http://127.0.0.1:1/$$key%%40"' in text
    assert 'Environment="R1_MIN_PRICE=7"' in text
    assert "correct horse" not in text
    verify(text, tmp_path)


def verify(text: str, folder: Path) -> None:
    """What systemd itself says of a unit."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here to check the unit with")
    path = folder / "r1node.service"
    path.write_text(text)
    done = subprocess.run(
        [program, "verify", "--user", path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )
    assert done.stderr == "", done.stderr
    assert done.returncode == 0


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_words_come_through_as_they_are(word: str) -> None:
    """Unquoted as systemd does it: specifiers and variables doubled, the rest like a shell."""
    inner = quoted(word)
    (back,) = shlex.split(inner.replace("$$", "$").replace("%%", "%"))
    assert back == word


def test_what_a_service_needs_is_asked_for_before_it_is_written(
    newcomer: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(newcomer.folder))
    without = [word for word in newcomer.options if word not in {"--password-file", str(newcomer.password_file)}]
    newcomer.password_file.write_text("wrong\n")
    with pytest.raises(KeyFileError, match="wrong password"):
        newcomer.ask("service", "install")
    monkeypatch.setattr(Host, "options", without)
    with pytest.raises(UsageError, match="nobody to ask"):
        newcomer.ask("service", "install")
    assert not (newcomer.folder / ".config").exists()


def test_a_machine_without_a_running_systemd_says_so(newcomer: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """With none at all, or with one that this user can't reach."""
    monkeypatch.setenv("HOME", str(newcomer.folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(newcomer.folder))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(PreflightError) as refusal:
        newcomer.ask("service", "install")
    assert "r1node join --yes" in (refusal.value.hint or "")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PreflightError, match="no systemd"):
        Unit("r1node", ("r1node",), {}, Path("/")).install()


def test_a_service_that_is_not_there(newcomer: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(newcomer.folder))
    assert newcomer.ask("service", "status")["state"] == "not installed"
    assert "no service" in newcomer.ask("service", "remove")["next_step"]

"""Key files: private, whole, and clear about what is wrong."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from r1net.chain.keystore import create_keystore, keystore_address, load_keystore
from r1net.errors import KeyFileError

QUICK = 2  # scrypt work factor: these tests do not guard money


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "owner.json"
    account = create_keystore(path, "secret", iterations=QUICK)
    assert load_keystore(path, "secret").key == account.key
    assert keystore_address(path) == account.address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["owner.json"]


def test_a_key_can_be_imported(tmp_path: Path) -> None:
    account = create_keystore(tmp_path / "worker.json", "secret", key="0x" + "11" * 32, iterations=QUICK)
    assert bytes(account.key) == b"\x11" * 32


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    first = create_keystore(path, "secret", iterations=QUICK)
    with pytest.raises(KeyFileError, match="exists already"):
        create_keystore(path, "other", iterations=QUICK)
    assert load_keystore(path, "secret").key == first.key


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="empty"):
        create_keystore(tmp_path / "owner.json", "")


def test_a_wrong_password_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    create_keystore(path, "secret", iterations=QUICK)
    with pytest.raises(KeyFileError, match="wrong password"):
        load_keystore(path, "guess")


def test_a_missing_file_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="r1node init"):
        load_keystore(tmp_path / "none.json", "secret")
    with pytest.raises(KeyFileError, match="r1node init"):
        keystore_address(tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(KeyFileError, match="not a key file"):
        keystore_address(tmp_path / "other.json")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    create_keystore(path, "secret", iterations=QUICK)
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keystore(path, "secret")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"crypto": 1}', json.dumps({"version": 3})])
def test_anything_else_is_no_key_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "owner.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a"):
        load_keystore(path, "secret")
    with pytest.raises(KeyFileError, match="not a key file"):
        keystore_address(path)


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read"):
        load_keystore(tmp_path, "secret")

"""Encrypted key files (keystore v3, as wallets and geth use), for owners and for workers alike."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from r1net.errors import KeyFileError


def create_keystore(
    path: Path, password: str, *, key: str | bytes | None = None, iterations: int | None = None
) -> LocalAccount:
    """Write a new key file and return its account. Refuses to overwrite.

    `key` imports an existing private key; without it a fresh one is drawn. `iterations` is scrypt's work factor
    (a power of two; the default, 2^18, takes about a second).
    """
    if path.exists():
        raise KeyFileError(f"{path} exists already", hint="choose another path, or move the old key away")
    if not password:
        raise KeyFileError("the password is empty", hint="give a password; the key guards your stake and rewards")
    account: LocalAccount = Account.from_key(key) if key is not None else Account.create()
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=iterations)
    _write_private(path, json.dumps(encrypted))
    return account


def load_keystore(path: Path, password: str) -> LocalAccount:
    """Decrypt a key file. Raises KeyFileError when it is missing, readable by others, broken, or the password wrong."""
    try:
        text = path.read_text()
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError as error:
        raise KeyFileError(f"no key file at {path}", hint="create one with: r1node init") from error
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}", hint="check owner and permissions") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path} is not a key file: not text", hint="restore it from a backup") from error
    if mode & 0o077:
        raise KeyFileError(f"{path} can be read by other users (mode {mode:03o})", hint=f"run: chmod 600 {path}")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise KeyFileError(f"{path} is not a key file: not JSON", hint="restore it from a backup") from error
    return _decrypt(path, document, password)


def read_password(path: Path) -> str:
    """The first line of a password file. Raises KeyFileError when there is none."""
    try:
        return path.expanduser().read_text().splitlines()[0]
    except OSError as error:
        raise KeyFileError(
            f"cannot read the password file {path}: {error.strerror}", hint="write the keystore's password into it"
        ) from error
    except (IndexError, ValueError) as error:
        raise KeyFileError(f"there is no password in {path}", hint="put it in the file's first line") from error


def keystore_address(path: Path) -> str:
    """The checksummed address that a key file claims to hold, without decrypting it."""
    try:
        return str(to_checksum_address(json.loads(path.read_text())["address"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"{path} is not a key file", hint="create one with: r1node init") from error


def _decrypt(path: Path, document: object, password: str) -> LocalAccount:
    try:
        key = Account.decrypt(document, password)  # type: ignore[arg-type]
    except ValueError as error:
        if "MAC" in str(error):
            raise KeyFileError(f"wrong password for {path}", hint="try again; the key cannot be recovered") from error
        raise KeyFileError(f"{path} is not a keystore v3 file: {error}", hint="restore it from a backup") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise KeyFileError(f"{path} is not a keystore v3 file", hint="restore it from a backup") from error
    account: LocalAccount = Account.from_key(key)
    return account


def _write_private(path: Path, text: str) -> None:
    """Write with mode 0600, whole or not at all: a temporary file in the same folder, synced, then linked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)  # unlike rename, fails if another process made the file meanwhile
    except FileExistsError as error:
        raise KeyFileError(f"{path} exists already", hint="choose another path, or move the old key away") from error
    finally:
        os.unlink(name)

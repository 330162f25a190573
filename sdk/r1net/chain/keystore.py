"""Encrypted key files (keystore v3, as wallets and geth use), for owners and for workers alike."""

from __future__ import annotations

import codecs
import json
import logging
import os
import stat
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from r1net.errors import KeyFileError
from r1net.whole import write_whole

log = logging.getLogger(__name__)


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
    try:
        write_whole(path, json.dumps(encrypted), replace=False)
    except FileExistsError as error:  # another process has made it meanwhile
        raise KeyFileError(f"{path} exists already", hint="choose another path, or move the old key away") from error
    return account


def load_keystore(path: Path, password: str) -> LocalAccount:
    """Decrypt a key file. Raises KeyFileError when it is missing, readable by others, broken, or the password wrong."""
    try:
        require_private(path)
        text = path.read_text()
    except FileNotFoundError as error:
        raise KeyFileError(f"no key file at {path}", hint="create one with: r1node init") from error
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}", hint="check owner and permissions") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path} is not a key file: not text", hint="restore it from a backup") from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise KeyFileError(f"{path} is not a key file: not JSON", hint="restore it from a backup") from error
    return _decrypt(path, document, password)


def require_private(path: Path) -> None:
    """Raises KeyFileError for a file of this user's own that others can read, and OSError. What somebody else gives to
    this user, or what lies where nothing can be changed, stays usable: container engines mount secrets that root owns,
    to be read by all who are in the container."""
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    changeable = not os.statvfs(path).f_flag & os.ST_RDONLY
    if mode & 0o077 and found.st_uid == os.geteuid() and changeable:
        raise KeyFileError(f"{path} can be read by other users (mode {mode:03o})", hint=f"run: chmod 600 {path}")


def read_password(path: Path) -> str:
    """The first line of a password file, without a byte order mark and without white space behind it, which editors
    leave. Raises KeyFileError when there is no password in it, or others can read it."""
    path = path.expanduser()
    try:
        require_private(path)
        data = path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"cannot read the password file {path}: {error.strerror}", hint="write the keystore's password into it"
        ) from error
    try:
        line = next(iter(data.removeprefix(codecs.BOM_UTF8).decode().splitlines()), "")
    except UnicodeDecodeError as error:
        raise KeyFileError(f"the password file {path} is not UTF-8 text", hint="save it anew as UTF-8") from error
    password = line.rstrip()
    if not password:
        raise KeyFileError(f"there is no password in {path}", hint="put it in the file's first line")
    if password != line:
        log.warning("%s: white space behind the password is left out", path)
    return password


def keystore_address(path: Path) -> str:
    """The checksummed address that a key file claims to hold, without decrypting it. Raises KeyFileError, OSError."""
    try:
        return str(to_checksum_address(json.loads(path.read_text())["address"]))
    except FileNotFoundError as error:
        raise KeyFileError(f"no key file at {path}", hint="create one with: r1node init") from error
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(f"{path} is not a key file", hint="restore it from a backup") from error


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

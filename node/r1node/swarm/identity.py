"""The worker's key as a libp2p identity: p2pd reads it from a file, so the file lives as briefly as it can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_account.signers.local import LocalAccount
from hivemind.proto import crypto_pb2

MEMORY = Path("/dev/shm")  # noqa: S108 - a memory file system, so that the key never reaches a disk


@contextmanager
def identity_file(worker: LocalAccount) -> Iterator[str]:
    """The key in libp2p's PrivateKey protobuf, mode 0600, in memory where the system has such a place.

    The file is gone when the block ends; p2pd has read it by the time it is ready.
    """
    directory = MEMORY if os.access(MEMORY, os.W_OK) else None
    key = crypto_pb2.PrivateKey(key_type=crypto_pb2.KeyType.Secp256k1, data=bytes(worker.key))
    handle, path = tempfile.mkstemp(prefix="r1node-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key.SerializeToString())
        yield path
    finally:
        os.unlink(path)

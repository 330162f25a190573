"""A host brings the files of a job's own rewards from its cache, and from the network what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from r1net.protocol.canonical import sha256
from r1net.transport import Transport
from r1node.blobs import BlobCache
from r1node.store import Store
from tests.adversarial.sandbox.rewards import Kit, wheel


class Network:
    """Where files come from; counts them."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, int | None]] = []

    def fetch_blob(self, digest: str, path: Path, size: int | None) -> None:
        self.asked.append((digest, size))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[digest])


def test_files_come_once_and_with_their_size(tmp_path: Path) -> None:
    kit = Kit("def reward(**rest): return [1.0]\n", {"tool-1.0-py3-none-any.whl": wheel("tool", {"tool.py": ""})})
    network = Network(kit.files)
    path_of = Store(tmp_path).files(kit.spec(), cast(Transport, network))
    for digest, data in (*kit.files.items(), *kit.files.items()):
        assert path_of(digest).read_bytes() == data
        assert BlobCache(tmp_path / "blobs").has(digest)
    assert network.asked == [(digest, len(data)) for digest, data in kit.files.items()]
    with pytest.raises(KeyError):
        path_of(sha256(b"another job's"))

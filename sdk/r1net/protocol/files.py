"""Files that are named by their content."""

from __future__ import annotations

from pydantic import Field

from r1net.protocol.canonical import Hash, Message


class FileRef(Message):
    """One file, content-addressed; `size` in bytes."""

    sha256: Hash
    size: int = Field(gt=0)

"""Jobs on their way: what was about to be paid, or is paid and not announced yet, kept on this machine so that the same
call again goes on with the same job, whatever ended the first one."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from r1net.errors import ProtocolError, UsageError
from r1net.protocol.canonical import Address, Hash, Message, canonical_bytes, sha256
from r1net.protocol.job import JobSpec
from r1net.whole import write_whole


class Draft(Message):
    """A job on its way. `block`: no transaction of it is older. `job_id` is known once it is funded."""

    spec: JobSpec
    folder: str
    chain_id: int
    escrow: Address
    block: int = Field(ge=0)
    job_id: Hash | None = None

    @property
    def key(self) -> str:
        """One for each specification and network."""
        return sha256(canonical_bytes([self.chain_id, self.escrow.lower(), self.spec.digest()]))[2:]


class Pending:
    """The drafts below `root`, each in a file that is written whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, draft: Draft) -> Draft:
        """Write a draft down, before what it says is relied on."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._root / draft.key, draft.model_dump_json())
        return draft

    @contextmanager
    def alone(self, spec: JobSpec) -> Iterator[None]:
        """While no other process of this machine submits the same. Raises UsageError when one does: both would pay."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._root / f".{spec.digest()[2:18]}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "this very job is being submitted by another process", hint="wait for it: `r1net jobs --mine`"
                ) from None
            yield

    def has(self, spec: JobSpec) -> bool:
        """Whether there is a draft of a specification, whatever the network."""
        return any(draft.spec.digest() == spec.digest() for draft in self)

    def like(self, draft: Draft) -> Draft | None:
        """The draft of the same specification on the same network."""
        return self._read(self._root / draft.key)

    def of(self, job_id: str) -> Draft | None:
        """The draft of a job that is funded."""
        return next((draft for draft in self if draft.job_id == job_id.lower()), None)

    def forget(self, job_id: str) -> None:
        """The job is announced, or closed."""
        draft = self.of(job_id)
        if draft is not None:
            (self._root / draft.key).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Draft]:
        files = sorted(self._root.glob("[0-9a-f]*")) if self._root.is_dir() else []
        yield from (draft for file in files if (draft := self._read(file)) is not None)

    @staticmethod
    def _read(path: Path) -> Draft | None:
        try:
            return Draft.parse(path.read_bytes())
        except (OSError, ProtocolError):
            return None  # not there, or of another version of this package: then the chain knows what was funded

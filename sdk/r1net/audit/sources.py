"""Where an audit's data come from: the coordinator, which may be the accused, and mirrors, which may be anybody.

All that an audit reads certifies itself: a line and a specification by their digests on chain, blobs by their names,
signatures by who gave them. So it doesn't matter who shows it. What holds is taken from whoever shows it; where nobody
does, the coordinator's answer or refusal counts as if there were no mirrors. A mirror can add truth, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from r1net.audit.shelf import Shelf
from r1net.errors import R1Error, Unreachable
from r1net.protocol.canonical import Message

M = TypeVar("M", bound=Message)
T = TypeVar("T")

_REST = 30.0
"""Seconds for which a source that didn't answer isn't asked again, where there are others to ask."""


class Source(Protocol):
    """Somebody who shows public data: `Transport` and `Shelf` are. Raises Refused, Unreachable, ProtocolError."""

    def get(self, path: str, kind: type[M]) -> M:
        """One message."""

    def get_blob(self, digest: str, most: int | None = None) -> bytes:
        """A blob, checked against its name; ProtocolError for one of more than `most` bytes."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What was shown, whether it holds, and whether it lies on the own shelf already."""

    value: T
    holds: bool
    kept: bool = False


class Sources:
    """A coordinator, mirrors that are asked where it shows nothing that holds, and a shelf of one's own: what lies
    there needn't be asked for, what comes is put there."""

    def __init__(self, coordinator: Source, mirrors: Sequence[Source] = (), shelf: Shelf | None = None) -> None:
        self.shelf = shelf
        self.coordinator = _Resting(coordinator) if mirrors else coordinator
        self._mirrors = [_Resting(mirror) for mirror in mirrors]

    @property
    def alone(self) -> bool:
        """Whether there is nobody but the coordinator."""
        return self.shelf is None and not self._mirrors

    def ask(self, own: Callable[[], T], copy: Callable[[Source], T], holds: Callable[[T], bool]) -> Answer[T]:
        """`own` asks the coordinator, `copy` anybody else. Raises what the coordinator's answer raised, where nobody
        shows what holds."""
        found = _first([self.shelf] if self.shelf is not None else [], copy, holds)
        if found is not None:
            return Answer(found, holds=True, kept=True)
        failure: R1Error | ValueError | None = None
        answer: T | None = None
        try:
            answer = own()
            if holds(answer):
                return Answer(answer, holds=True)
        except (R1Error, ValueError) as error:
            failure = error
        found = _first(self._mirrors, copy, holds)
        if found is not None:
            return Answer(found, holds=True)
        if failure is not None or answer is None:
            raise failure or ValueError("the coordinator shows nothing")
        return Answer(answer, holds=False)


def _first(sources: Iterable[Source], copy: Callable[[Source], T], holds: Callable[[T], bool]) -> T | None:
    for source in sources:
        try:
            found = copy(source)
            if holds(found):
                return found
        except (R1Error, ValueError):
            continue  # whatever a mirror says instead is no news
    return None


class _Resting:
    """A source that is left alone for a while after it didn't answer: there may be thousands of blobs to ask for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._until = 0.0
        self._words = ""

    def get(self, path: str, kind: type[M]) -> M:
        """See Source."""
        return self._asked(lambda: self._source.get(path, kind))

    def get_blob(self, digest: str, most: int | None = None) -> bytes:
        """See Source."""
        return self._asked(lambda: self._source.get_blob(digest, most))

    def _asked(self, ask: Callable[[], T]) -> T:
        if time.monotonic() < self._until:
            raise Unreachable(self._words, hint="check the address, and that it is running")
        try:
            return ask()
        except Unreachable as error:
            self._until, self._words = time.monotonic() + _REST, error.message
            raise

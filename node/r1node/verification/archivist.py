"""Keeping what the audits of all epochs read: by auditing them, from wherever it is shown, onto a shelf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1net.audit import LineAudit, Shelf, Sources, audit_lines
from r1net.chain import Chain, EpochState, LineStatus
from r1net.errors import ChainUnavailable, R1Error, Unreachable

DAY = 86_400


@dataclass(frozen=True)
class Archived:
    """What came of one line: `noted` that it was looked at to the end, `whole` that nothing was missing. `bytes` are
    those of all its files, also of those that other lines have too."""

    epoch: int
    line: int
    noted: bool
    whole: bool
    files: int
    bytes: int
    detail: str


@dataclass
class Archivist:
    """Goes through every epoch that was proposed. What was over for `keep_days` days is forgotten; None keeps all."""

    chain: Chain
    sources: Sources
    shelf: Shelf
    keep_days: int | None = None

    def round(self) -> Iterator[Archived]:
        """Archive what isn't yet. Raises Unreachable and ChainUnavailable: what is left is archived the next time."""
        self.shelf.trouble = None
        settlement = self.chain.settlement
        epochs = [settlement.epoch(number) for number in range(1, settlement.next_epoch())]
        clock = settlement.clock()
        old = [epoch for epoch in epochs if self._is_old(epoch, clock)]
        noted = True
        for epoch in epochs:
            for archived in self._epoch(epoch) if epoch not in old else ():
                noted = noted and archived.noted
                yield archived
        for epoch in old if noted else ():  # what isn't noted protects nothing
            self.shelf.forget(epoch.epoch)

    def _is_old(self, epoch: EpochState, clock: int) -> bool:
        return self.keep_days is not None and epoch.over and clock - epoch.finalisable_at > self.keep_days * DAY

    def _epoch(self, epoch: EpochState) -> Iterator[Archived]:
        missing = [line for line in range(epoch.lines) if self._is_missing(epoch, line)]
        if not missing:
            return
        audits = audit_lines(epoch.epoch, missing, self.sources, self.chain)
        for line in missing:
            try:
                audit = next(audits)
            except (Unreachable, ChainUnavailable):
                raise
            except R1Error as error:  # the coordinator doesn't say yes or no: it is asked again, for all that is left
                yield Archived(epoch.epoch, line, noted=False, whole=False, files=0, bytes=0, detail=str(error))
                return
            yield self._note(epoch.epoch, audit)

    def _note(self, epoch: int, audit: LineAudit) -> Archived:
        read = audit.read
        noted = self.shelf.close(epoch, audit.line, read)
        whole = noted and read.whole
        words = "" if whole else self.shelf.trouble or "something of it is shown by nobody"
        return Archived(epoch, audit.line, noted, whole, len(read.paths), self.shelf.size(read), words)

    def _is_missing(self, epoch: EpochState, line: int) -> bool:
        """What isn't whole is looked for again while it can be challenged."""
        kept = self.shelf.line(epoch.epoch, line)
        return kept is None or (not kept.whole and epoch.status(line) is LineStatus.PENDING)

"""What a watcher looks at, again and again: submissions that failed their checks, votes that were mistaken, lines that
are not paid, pay for traces that the court has in hand, and a share of what nobody objected to.

It believes neither the verifiers nor the coordinator: what it accuses it has replayed or recomputed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from r1net.audit import LineAudit, Sources, audit_epoch
from r1net.chain import Chain, LineStatus
from r1net.errors import ChainError, ChainUnavailable, R1Error, Unreachable
from r1net.protocol.checks import CheckView
from r1net.protocol.job import JobView
from r1net.protocol.trace import TraceBundle
from r1net.transport import Transport
from r1node.verification.bailiff import Bailiff
from r1node.verification.patrol import RANDOM, Patrol

_PAGE = 100


@dataclass(frozen=True)
class Seen:
    """Something the watcher looked into: what, and what came of it."""

    subject: str
    detail: str
    dispute: int | None = None


@dataclass
class Watcher:
    """`accuse(job, trace)` disputes a trace after an own replay, `object_to(epoch, line, faults)` a line; both return
    the dispute's number, and raise R1Error when there is nothing to dispute or somebody else has. Epochs are audited
    from `sources`, and kept on their shelf, if there is one; lists are the coordinator's alone, `source`."""

    chain: Chain
    source: Transport
    sources: Sources
    owner: str
    accuse: Callable[[str, str], int]
    object_to: Callable[[int, int, tuple[str, ...]], int]
    bailiff: Bailiff
    patrol: Patrol
    _done: set[tuple[str, int]] = field(default_factory=set)
    _votes: set[str] = field(default_factory=set)
    _epochs: set[int] = field(default_factory=set)

    def round(self) -> Iterator[Seen]:
        """Look at everything that is new: first at epochs, which are paid when their window ends, whereas work can be
        disputed for long. Raises Unreachable and ChainUnavailable: what is left is looked at again."""
        for number in range(1, self.chain.settlement.next_epoch()):
            if number not in self._epochs:
                yield from self._epoch(number)
        for view in self.source.walk("/v1/jobs", JobView, _PAGE):
            yield from self._job(view.job_id)
        for step in self.bailiff.round():
            yield Seen(f"pay for trace {step.trace}", step.detail)

    def _job(self, job_id: str) -> Iterator[Seen]:
        for check in self.source.walk(f"/v1/jobs/{job_id}/checks", CheckView, _PAGE, state="failed"):
            if (job_id, check.number) not in self._done and not check.planted and check.owner != self.owner:
                yield self._submission(job_id, check)
                self._done.add((job_id, check.number))
        for check in self.source.walk(f"/v1/jobs/{job_id}/checks", CheckView, _PAGE, mistaken="true"):
            for vote in check.votes:
                digest = vote.vote_digest
                if vote.mistaken and digest is not None and digest not in self._votes and vote.owner != self.owner:
                    yield self._dispute(job_id, digest, f"vote of {vote.worker} on {check.lease_id}")
                    self._votes.add(digest)
        for check in self.patrol.job(job_id):
            yield self._submission(job_id, check)

    def _submission(self, job_id: str, check: CheckView) -> Seen:
        work = "submission" if check.kind == "rollout" else "training"
        subject = f"{work} {check.lease_id} of {check.worker}"
        if check.bundle is None:
            return Seen(subject, "decided without a bundle: the coordinator's record does not hold together")
        try:
            digest = self._subject(check, check.bundle)
        except Unreachable:
            raise
        except (R1Error, IndexError) as error:
            return Seen(subject, f"not disputed: {error}")
        return self._dispute(job_id, digest, subject)

    def _dispute(self, job_id: str, digest: str, subject: str) -> Seen:
        try:
            number = self.accuse(job_id, digest)
        except (Unreachable, ChainUnavailable):
            raise
        except R1Error as error:
            return Seen(subject, f"not disputed: {error}")
        return Seen(subject, "is bad by the own repetition, and disputed", number)

    def _subject(self, check: CheckView, blob: str) -> str:
        """What is disputed: a trainer's statement, or the first bad trace of a submission."""
        if check.kind == "training":
            return blob
        bundle = TraceBundle.parse(self.source.get_blob(blob))
        bad = (
            [position for vote in check.votes for position in vote.bad]
            or list(check.positions)
            or [RANDOM.randrange(check.count)]
        )
        return bundle.traces[min(bad)].digest()

    def _epoch(self, number: int) -> Iterator[Seen]:
        if not self.chain.settlement.epoch(number).lines_that_are(LineStatus.PENDING):
            self._epochs.add(number)
            return
        try:
            lines = audit_epoch(number, self.sources, self.chain)
        except (Unreachable, ChainUnavailable):
            raise
        except R1Error as error:  # the coordinator doesn't say yes or no: it is asked again
            yield Seen(f"epoch {number}", f"could not be audited: {error}")
            return
        yield from self._keep(number, lines)
        for line in lines:
            if line.faults and self.chain.settlement.status(number, line.line) is LineStatus.PENDING:
                yield self._object(number, line)
        if not any(line.faults for line in lines):
            yield Seen(f"epoch {number}", "holds")
        self._epochs.add(number)

    def _keep(self, number: int, lines: list[LineAudit]) -> Iterator[Seen]:
        shelf = self.sources.shelf
        if shelf is None:
            return
        for line in lines:
            if not shelf.close(number, line.line, line.read) or not line.read.whole:
                words = shelf.trouble or "something of it is shown by nobody"
                yield Seen(f"line {line.line} of epoch {number}", f"is not archived whole: {words}")

    def _object(self, number: int, line: LineAudit) -> Seen:
        """Dispute one line, and no other."""
        subject, words = f"line {line.line} of epoch {number}", "; ".join(line.faults)
        try:
            dispute = self.object_to(number, line.line, line.faults)
        except ChainUnavailable:
            raise
        except ChainError as error:
            return Seen(subject, f"does not hold ({words}), and is not disputed: {error}")
        return Seen(subject, f"does not hold: {words}", dispute)

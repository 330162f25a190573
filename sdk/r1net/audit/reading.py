"""What the audit of one line reads, piece by piece, each held against what certifies it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from r1net.audit.shelf import KeptLine, blob_path, submission_path
from r1net.audit.signed import unsigned
from r1net.audit.sources import Answer, Source, Sources
from r1net.bounded import MOST_BYTES
from r1net.protocol.gradients import GradientStatement
from r1net.protocol.job import JobSpec, JobView
from r1net.protocol.settlement import JobEpoch
from r1net.protocol.signing import Domain
from r1net.protocol.trace import SignedTrace, TraceBundle

T = TypeVar("T")


@dataclass
class Reading:
    """Fetches, and keeps what holds on the shelf, if there is one. `paths` are those of all that held; `whole` ends
    with the first thing that nobody shows. Methods raise as the coordinator's answer does where nobody has better."""

    sources: Sources
    domain: Domain
    job_id: str
    paths: set[str] = field(default_factory=set)
    whole: bool = True
    _keeps: bool = True

    def kept(self) -> KeptLine:
        """What was read."""
        return KeptLine(job_id=self.job_id, whole=self.whole, paths=tuple(sorted(self.paths)))

    def own_line(self, own: Callable[[], JobEpoch], digest: str) -> JobEpoch:
        """The line itself. One that the chain doesn't vouch for is judged as it is, and nothing of it is kept: whoever
        shows it could name what it likes as its evidence."""
        answer = self._line(own, digest)
        self._keeps = answer.holds
        return answer.value

    def line(self, own: Callable[[], JobEpoch], digest: str) -> JobEpoch | None:
        """Another line; None unless the chain vouches for it."""
        answer = self._line(own, digest)
        return answer.value if answer.holds else None

    def specification(self, digest: str) -> JobSpec:
        """The job's specification. `digest` is the one that the escrow names; what is returned may have another."""
        return self._asked(
            own=lambda: self.sources.coordinator.get(f"/v1/jobs/{self.job_id}", JobView).spec,
            copy=lambda source: JobSpec.parse(source.get_blob(digest, MOST_BYTES)),
            holds=lambda spec: spec.digest() == digest,
            path=blob_path(digest),
            data=lambda spec: spec.canonical(),
        ).value

    def blob(self, digest: str) -> bytes:
        """A blob; its name vouches for it."""
        return self._asked(
            own=lambda: self.sources.coordinator.get_blob(digest, MOST_BYTES),
            copy=lambda source: source.get_blob(digest, MOST_BYTES),
            holds=lambda _: True,
            path=blob_path(digest),
            data=lambda data: data,
        ).value

    def bundle_signature(self, digest: str, bundle: TraceBundle) -> str:
        """What the bundle's worker signed it with; may be anything where nobody shows it."""
        tree, first = bundle.tree(), bundle.traces[0]
        return self._signature(
            lambda signature: SignedTrace(
                job_id=self.job_id,
                trace_digest=first.digest(),
                worker=first.worker,
                lease_id=bundle.lease_id,
                traces_root=tree.root,
                count=len(bundle.traces),
                signature=signature,
                proof=tuple(tree.proof(0)),
                bundle=digest,
                position=0,
            ),
            first.digest(),
        )

    def statement_signature(self, statement: GradientStatement) -> str:
        """The same for a trainer's statement: it is the only leaf of its tree."""
        digest = statement.digest()
        return self._signature(
            lambda signature: SignedTrace(
                job_id=self.job_id,
                trace_digest=digest,
                worker=statement.worker,
                lease_id=statement.lease_id,
                traces_root=statement.root(),
                count=1,
                signature=signature,
                proof=(),
                bundle=digest,
                position=0,
            ),
            digest,
        )

    def _signature(self, signed: Callable[[str], SignedTrace], leaf: str) -> str:
        """Of what is answered nothing counts but the signature: the rest follows from the work."""
        path = submission_path(self.job_id, leaf)

        def of(source: Source) -> str:
            return source.get(path, SignedTrace).signature

        def holds(signature: str) -> bool:
            made = signed(signature)
            words = unsigned(made.lease_id, made.traces_root, made.count, signature, made.worker, self.domain)
            return words is None

        coordinator = self.sources.coordinator
        if self.sources.alone:  # the work is held against it later anyway, and there is nobody else to ask
            return of(coordinator)
        return self._asked(
            own=lambda: of(coordinator), copy=of, holds=holds, path=path, data=lambda text: signed(text).canonical()
        ).value

    def _line(self, own: Callable[[], JobEpoch], digest: str) -> Answer[JobEpoch]:
        """A settler could name another job's line on chain: that is none of this job's, whoever has it."""
        return self._asked(
            own=own,
            copy=lambda source: JobEpoch.parse(source.get_blob(digest, MOST_BYTES)),
            holds=lambda line: line.job_id == self.job_id and line.digest() == digest,
            path=blob_path(digest),
            data=lambda line: line.canonical(),
        )

    def _asked(
        self,
        own: Callable[[], T],
        copy: Callable[[Source], T],
        holds: Callable[[T], bool],
        path: str,
        data: Callable[[T], bytes],
    ) -> Answer[T]:
        whole, self.whole = self.whole, False
        answer = self.sources.ask(own, copy, holds)
        if answer.holds:
            self.whole = whole
            self._keep(path, answer, data)
        return answer

    def _keep(self, path: str, answer: Answer[T], data: Callable[[T], bytes]) -> None:
        if not self._keeps:
            return
        self.paths.add(path)
        shelf = self.sources.shelf
        if shelf is not None and not answer.kept and not shelf.keep(path, data(answer.value)):
            self.whole = False

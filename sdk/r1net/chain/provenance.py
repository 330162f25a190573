"""Where a trace, a data set or a checkpoint comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from eth_abi.abi import encode
from eth_hash.auto import keccak

from r1net.chain.contract import BoundContract
from r1net.chain.models import ProvenanceRecord, TxReceipt, enhex, unhex
from r1net.chain.sender import Sender
from r1net.chain.settlement import Settlement
from r1net.errors import ChainError
from r1net.protocol.merkle import verify


class StatementKind(IntEnum):
    """What a statement says about its subject; see IProvenance.Kind for the meaning of its value."""

    DATASET = 0
    CHECKPOINT = 1
    LICENCE = 2
    WITHDRAWAL = 3


class TraceStatus(Enum):
    """What the chain knows of a trace in a job's epoch; see IProvenance.Status."""

    UNKNOWN = 0
    PENDING = 1
    FINALISED = 2
    REJECTED = 3
    DISPUTED = 4
    CONVICTED = 5

    @property
    def stands(self) -> bool:
        """Whether the trace was accepted and nothing speaks against it. Until it is FINALISED, something still may."""
        return self in (TraceStatus.PENDING, TraceStatus.FINALISED)


@dataclass(frozen=True)
class Statement:
    """One statement of an author."""

    author: str
    kind: StatementKind
    subject: str
    value: str


class Provenance:
    """The Provenance contract, with the epochs' content fetched for the caller."""

    def __init__(self, address: str, sender: Sender, settlement: Settlement, first_block: int) -> None:
        self.address = address
        self._contract = BoundContract("Provenance", address, sender)
        self._settlement = settlement
        self._first_block = first_block

    def trace_status(
        self, job_id: str, epoch: int, trace_digest: str, worker: str, proof: Sequence[str]
    ) -> TraceStatus:
        """How a trace stands in a job's epoch. `worker` is the one that the trace itself names: convictions are of a
        trace under its worker, so that nobody taints another's trace by signing for it."""
        content, line = self._settlement.locate(epoch, job_id)
        trace, nodes = (unhex(trace_digest), worker), [unhex(node) for node in proof]
        return TraceStatus(self._contract.call("traceStatus", content.abi(), line, trace, nodes))

    def trace_statuses(
        self,
        job_id: str,
        epoch: int,
        traces: Sequence[tuple[str, str]],
        proof: Sequence[str],
        flags: Sequence[bool],
    ) -> list[TraceStatus]:
        """The same for several traces at once, each as (digest, worker), with a multi-proof. If that does not hold,
        all are UNKNOWN."""
        content, line = self._settlement.locate(epoch, job_id)
        named, nodes = [(unhex(digest), worker) for digest, worker in traces], [unhex(node) for node in proof]
        found = self._contract.call("traceStatuses", content.abi(), line, named, nodes, list(flags))
        return [TraceStatus(status) for status in found]

    def record(self, job_id: str, epoch: int) -> ProvenanceRecord:
        """What is anchored for one job and epoch."""
        content, line = self._settlement.locate(epoch, job_id)
        job = content.jobs[line]
        return ProvenanceRecord(
            job_id=job.job_id,
            epoch=epoch,
            status=self._settlement.status(epoch, line),
            traces_root=job.traces_root,
            trace_count=job.trace_count,
            parent_policy=job.parent_policy,
            new_policy=job.new_policy,
            report_digest=job.report_digest,
        )

    def state(self, kind: StatementKind, subject: str, value: str) -> TxReceipt:
        """State something about an artefact, a trace or a policy, in the account's own name."""
        return self._contract.send("state", int(kind), unhex(subject), unhex(value))

    def statements(self, author: str) -> list[Statement]:
        """All statements of an author, oldest first, checked against the author's rolling hash on chain."""
        found, head = [], bytes(32)
        for event in self._contract.logs("Stated", from_block=self._first_block, author=author):
            fields = [head, event["kind"], event["subject"], event["value"]]
            head = keccak(encode(["bytes32", "uint8", "bytes32", "bytes32"], fields))
            kind = StatementKind(event["kind"])
            found.append(Statement(author, kind, enhex(event["subject"]), enhex(event["value"])))
        if head != self._contract.call("headOf", author):
            raise ChainError(
                f"statements of {author} are missing", hint="the RPC endpoint leaves events out; use another"
            )
        return found

    def is_parent(self, author: str, artefact: str, parent: str, proof: Sequence[str]) -> bool:
        """Whether an author declared `parent` (a traces root, a data set, a policy) among what an artefact was made
        from. With `record` and `trace_status` this leads from a checkpoint back to single traces."""
        made = (StatementKind.DATASET, StatementKind.CHECKPOINT)
        roots = [one.value for one in self.statements(author) if one.subject == artefact.lower() and one.kind in made]
        return any(verify(root, ["bytes32"], (parent,), proof) for root in roots)

    def withdrawn(self, author: str, subject: str) -> str | None:
        """The digest of an author's reason why a subject must not be used any more; None if it may."""
        reasons = [
            one.value
            for one in self.statements(author)
            if one.subject == subject.lower() and one.kind is StatementKind.WITHDRAWAL
        ]
        return reasons[-1] if reasons else None

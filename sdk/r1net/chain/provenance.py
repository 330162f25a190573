"""Where a trace, a data set or a checkpoint comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode
from eth_hash.auto import keccak

from r1net.chain.contract import BoundContract
from r1net.chain.models import EpochContent, ProvenanceRecord, TxReceipt, enhex, unhex
from r1net.chain.reasons import Reverted
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

    def verify_trace(self, job_id: str, epoch: int, trace_digest: str, proof: Sequence[str]) -> bool:
        """Whether the chain vouches that a trace was accepted in a job's epoch. False for rejected epochs."""
        nodes = [unhex(node) for node in proof]
        return self._verify("verifyTrace", job_id, epoch, unhex(trace_digest), nodes)

    def verify_traces(
        self, job_id: str, epoch: int, trace_digests: Sequence[str], proof: Sequence[str], flags: Sequence[bool]
    ) -> bool:
        """The same for several traces at once, with a multi-proof."""
        digests, nodes = [unhex(digest) for digest in trace_digests], [unhex(node) for node in proof]
        return self._verify("verifyTraces", job_id, epoch, digests, nodes, list(flags))

    def record(self, job_id: str, epoch: int) -> ProvenanceRecord:
        """What is anchored for one job and epoch."""
        content, index = self._locate(job_id, epoch)
        job = content.jobs[index]
        return ProvenanceRecord(
            job_id=job.job_id,
            epoch=epoch,
            status=self._settlement.epoch(epoch).status,
            traces_root=job.traces_root,
            trace_count=job.trace_count,
            parent_policy=job.parent_policy,
            new_policy=job.new_policy,
            report_digest=content.report_digest,
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
        from. With `record` and `verify_trace` this leads from a checkpoint back to single traces."""
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

    def _verify(self, function: str, job_id: str, epoch: int, *args: object) -> bool:
        content, index = self._locate(job_id, epoch)
        try:
            return bool(self._contract.call(function, content.abi(), index, *args))
        except Reverted as error:
            if error.name == "UnknownContent":
                return False
            raise

    def _locate(self, job_id: str, epoch: int) -> tuple[EpochContent, int]:
        content = self._settlement.content(epoch)
        index = content.job_index(job_id)
        if index is None:
            raise ChainError(f"epoch {epoch} has no job {job_id}", hint="check the job id and the epoch")
        return content, index

"""Whether a worker signed for what is shown as its work."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.errors import ProtocolError
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import TraceBundle


@dataclass(frozen=True)
class Shown:
    """A bundle as the coordinator shows it, with the signature that its worker gave for it, where it was asked for."""

    bundle: TraceBundle
    signature: str | None = None

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return sum(trace.tokens for trace in self.bundle.traces)

    def unsigned(self, worker: str, domain: Domain) -> str | None:
        """Why it is not what the worker signed; None if it is."""
        bundle = self.bundle
        return unsigned(bundle.lease_id, bundle.tree().root, len(bundle.traces), self.signature, worker, domain)


def unsigned(lease_id: str, root: str, count: int, signature: str | None, worker: str, domain: Domain) -> str | None:
    """Why a tree of work is not what the worker signed; None if it is."""
    try:
        signer = domain.signer("Submission", submission_values(lease_id, root, count), signature or "0x")
    except ProtocolError as error:
        return error.message
    return None if signer.lower() == worker.lower() else f"signed by {signer}, not by {worker}"

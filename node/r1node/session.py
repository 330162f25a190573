"""The node's authenticated connection to its coordinator."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator, Sequence

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account.signers.local import LocalAccount

from r1net.errors import Refused
from r1net.protocol.gradients import GradientCommitment, GradientStatement, SignedStatement
from r1net.protocol.reach import DialOrder, DialReport
from r1net.protocol.session import (
    DIGEST_HEADER,
    NONCE_HEADER,
    SESSION_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    OpenSession,
    SessionGrant,
    SessionOpened,
    maddrs_digest,
    parse_content_digest,
    sign_request,
)
from r1net.protocol.signing import Domain, session_values, submission_values
from r1net.protocol.trace import RolloutSubmission, TraceBundle
from r1net.protocol.work import (
    AttemptOutcome,
    HeartbeatAnswer,
    LeaseFailure,
    PossessionProof,
    Receipt,
    TrainReport,
    Vote,
    VoteCommitment,
    VoteReveal,
    WorkAnswer,
    WorkRequest,
)
from r1net.transport import Transport

LIFETIME = 12 * 3600
"""Seconds a session key is good for; a new one is granted well before."""

RENEW_BEFORE = 3600

BRIEF = 10.0
"""Seconds for an answer to what is soon said again, or must not hold up the end of a worker."""


class Session(httpx.Auth):
    """Signs every request with a short-lived Ed25519 key that the worker key granted once (EIP-712)."""

    def __init__(
        self,
        url: str,
        domain: Domain,
        owner: str,
        worker: LocalAccount,
        peer_id: str,
        *,
        software: str,
        hardware: str,
        allow_plain_http: bool = False,
    ) -> None:
        self.transport = Transport(url, auth=self, allow_plain_http=allow_plain_http)
        self._brief = Transport(url, auth=self, timeout=BRIEF, patience=0, allow_plain_http=allow_plain_http)
        self._public = Transport(url, allow_plain_http=allow_plain_http)
        self._domain, self._owner, self._worker, self._peer_id = domain, owner, worker, peer_id
        self._software, self._hardware = software, hardware
        self._maddrs: tuple[str, ...] = ()
        self.on_dials: Callable[[Sequence[DialOrder]], None] = lambda orders: None
        self._key = Ed25519PrivateKey.generate()
        self._id = ""
        self._expires = 0.0
        self._lock = threading.Lock()

    def open(self, maddrs: list[str] | None = None) -> None:
        """Grant a fresh session key; with `maddrs`, announce new addresses."""
        with self._lock:
            if maddrs is not None:
                self._maddrs = tuple(maddrs)
            key = Ed25519PrivateKey.generate()
            public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            grant = SessionGrant(
                owner=self._owner,
                worker=self._worker.address,
                session_key="0x" + public.hex(),
                peer_id=self._peer_id,
                maddrs=maddrs_digest(self._maddrs),
                nonce="0x" + secrets.token_hex(32),
                expires=int(time.time()) + LIFETIME,
            )
            body = OpenSession(
                grant=grant,
                signature=self._domain.sign(self._worker, "Session", session_values(grant)),
                maddrs=self._maddrs,
                software=self._software,
                hardware=self._hardware,
            )
            opened = self._public.post("/v1/sessions", body, SessionOpened)
            self._key, self._id, self._expires = key, opened.session_id, opened.expires

    @property
    def maddrs(self) -> tuple[str, ...]:
        """The addresses that were announced last."""
        return self._maddrs

    def renew_if_due(self) -> None:
        """Grant a fresh key when the present one is about to end."""
        if time.time() > self._expires - RENEW_BEFORE:
            self.open()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's hook: sign, and once more with a fresh session when the coordinator no longer knows this one."""
        self._sign(request)
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            try:
                self.open()
            except Refused:
                return  # the first answer says better what is wrong
            self._sign(request)
            yield request

    def _sign(self, request: httpx.Request) -> None:
        timestamp, nonce = f"{time.time():.3f}", secrets.token_hex(12)
        target = request.url.raw_path.decode()
        digest = parse_content_digest(request.headers[DIGEST_HEADER])
        request.headers[SESSION_HEADER] = self._id
        request.headers[TIME_HEADER] = timestamp
        request.headers[NONCE_HEADER] = nonce
        request.headers[SIGNATURE_HEADER] = sign_request(self._key, request.method, target, digest, timestamp, nonce)

    def work(self, request: WorkRequest) -> WorkAnswer:
        """Ask for a lease."""
        answer = self.transport.post("/v1/work", request, WorkAnswer)
        self.on_dials(answer.dials)
        return answer

    def leave(self) -> None:
        """Tell that this worker stops, so that nobody waits for it."""
        self._brief.post_empty("/v1/leave")

    def heartbeat(self, lease_id: str) -> HeartbeatAnswer:
        """Keep a lease. What is no answer is not waited for: the next beat would be late."""
        answer = HeartbeatAnswer.parse(self._brief.post_empty(f"/v1/leases/{lease_id}/heartbeat"))
        self.on_dials(answer.dials)
        return answer

    def report_dial(self, report: DialReport) -> None:
        """Tell what came of an order to dial."""
        self.transport.tell(f"/v1/dials/{report.id}", report)

    def submit_rollout(self, bundle: TraceBundle, metrics: dict[str, float]) -> Receipt:
        """Hand in a signed bundle."""
        values = submission_values(bundle.lease_id, bundle.tree().root, len(bundle.traces))
        submission = RolloutSubmission(
            bundle=bundle, signature=self._domain.sign(self._worker, "Submission", values), metrics=metrics
        )
        return self.transport.post(f"/v1/leases/{bundle.lease_id}/rollout", submission, Receipt)

    def report_training(self, report: TrainReport) -> None:
        """Tell which version the step came to."""
        self.transport.tell(f"/v1/leases/{report.lease_id}/train", report)

    def commit_gradient(self, commitment: GradientCommitment) -> None:
        """Fix a gradient before it is averaged."""
        self.transport.tell(f"/v1/leases/{commitment.lease_id}/gradient", commitment)

    def state_gradient(self, statement: GradientStatement) -> None:
        """Answer for a gradient, signed."""
        values = submission_values(statement.lease_id, statement.root(), 1)
        signed = SignedStatement(statement=statement, signature=self._domain.sign(self._worker, "Submission", values))
        self.transport.tell(f"/v1/leases/{statement.lease_id}/statement", signed)

    def report_published(self, lease_id: str) -> None:
        """Tell that a version's files are up."""
        self.transport.post_empty(f"/v1/leases/{lease_id}/published")

    def prove_possession(self, lease_id: str, proofs: dict[str, str]) -> None:
        """Prove that one holds a version's files."""
        self.transport.tell(f"/v1/leases/{lease_id}/possession", PossessionProof(lease_id=lease_id, proofs=proofs))

    def commit_vote(self, commitment: VoteCommitment) -> None:
        """Fix a vote before it is shown."""
        self.transport.tell(f"/v1/leases/{commitment.lease_id}/commitment", commitment)

    def reveal_vote(self, vote: Vote, salt: str) -> None:
        """Show the vote that was committed to, signed."""
        signature = self._domain.sign(self._worker, "Submission", submission_values(vote.lease_id, vote.root(), 1))
        reveal = VoteReveal(vote=vote, salt=salt, signature=signature)
        self.transport.tell(f"/v1/leases/{reveal.vote.lease_id}/vote", reveal)

    def report_failure(self, lease_id: str, code: str, detail: str) -> None:
        """Give a task back."""
        self._brief.tell(
            f"/v1/leases/{lease_id}/failure", LeaseFailure(lease_id=lease_id, code=code, detail=detail[:2000])
        )

    def outcome(self, job_id: str, round_: int, attempt: int, wait: float, known: int = 0) -> AttemptOutcome:
        """What became of an attempt to train a round; or what is new beyond the `known` news."""
        path = f"/v1/jobs/{job_id}/rounds/{round_}/attempts/{attempt}/outcome"
        return self.transport.get(path, AttemptOutcome, wait=wait, known=known)

"""How a worker proves who it is: one EIP-712 grant by the worker key, then Ed25519 signatures on every request.

The worker key (secp256k1) is at once the libp2p identity and the account that the registry on chain binds to its
owner; it signs a grant for a short-lived Ed25519 session key (RFC 8032), so that it isn't needed for each request.
A grant names the addresses that the worker announces, and a nonce: it opens one session, with these addresses.

A request's signature covers the digest of its body, which a header carries (Content-Digest, RFC 9530): who sent a
request is known before its body is read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from r1net.errors import ProtocolError
from r1net.protocol.canonical import Address, Hash, Message, Signature, canonical_bytes, sha256

SESSION_HEADER = "R1-Session"
TIME_HEADER = "R1-Timestamp"
NONCE_HEADER = "R1-Nonce"
SIGNATURE_HEADER = "R1-Signature"
DIGEST_HEADER = "Content-Digest"
MAX_SKEW = 60.0
"""Seconds a request's timestamp may differ from the coordinator's clock."""

_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


class SessionGrant(Message):
    """EIP-712 `Session(address owner, address worker, bytes32 sessionKey, string peerId, bytes32 maddrs, bytes32 nonce,
    uint256 expires)`."""

    owner: Address
    worker: Address
    session_key: Hash = Field(description="Ed25519 public key, 32 bytes")
    peer_id: str
    maddrs: Hash = Field(description="`maddrs_digest` of the addresses that come with the grant")
    nonce: Hash = Field(description="32 random bytes; a grant opens one session")
    expires: int = Field(description="Unix seconds")


class OpenSession(Message):
    """Body of POST /v1/sessions."""

    grant: SessionGrant
    signature: Signature
    maddrs: tuple[str, ...] = Field(description="libp2p addresses at which peers reach the worker, with /p2p/<id>")
    software: str = Field(default="", max_length=200)
    hardware: str = Field(default="", max_length=200)


class SessionOpened(Message):
    """Answer of POST /v1/sessions."""

    session_id: str
    expires: int


def maddrs_digest(maddrs: Sequence[str]) -> str:
    """What a grant says of the announced addresses: SHA-256 of their canonical JSON."""
    return sha256(canonical_bytes(list(maddrs)))


def content_digest(digest: str) -> str:
    """The Content-Digest field (RFC 9530) of a body whose SHA-256 is `digest`."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest[2:])).decode()}:"


def parse_content_digest(field: str) -> str:
    """The SHA-256 that a Content-Digest field gives, `0x` hex. Raises ProtocolError when it has none."""
    found = _DIGEST.search(field)
    if found is None:
        raise ProtocolError("the Content-Digest has no sha-256", hint="send `sha-256=:<base64>:` (RFC 9530)")
    return "0x" + base64.b64decode(found[1]).hex()


def request_text(method: str, target: str, digest: str, timestamp: str, nonce: str) -> bytes:
    """What is signed of a request: method, path with query, body's SHA-256, time, nonce, a line each."""
    return "\n".join(("r1net/request/1", method.upper(), target, digest, timestamp, nonce)).encode()


def sign_request(key: Ed25519PrivateKey, method: str, target: str, digest: str, timestamp: str, nonce: str) -> str:
    """Base64 Ed25519 signature of a request. `digest` is the SHA-256 of its body, `0x` hex."""
    return base64.b64encode(key.sign(request_text(method, target, digest, timestamp, nonce))).decode()


def check_request(
    public_key: str, signature: str, method: str, target: str, digest: str, timestamp: str, nonce: str
) -> None:
    """Raises ProtocolError unless `signature` is the session key's. Time, nonce and body are the caller's to check."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key.removeprefix("0x")))
        key.verify(base64.b64decode(signature, validate=True), request_text(method, target, digest, timestamp, nonce))
    except (InvalidSignature, ValueError) as error:
        raise ProtocolError("the request's signature does not fit its session key") from error

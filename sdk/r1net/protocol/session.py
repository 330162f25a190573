"""How a worker proves who it is: one EIP-712 grant by the worker key, then Ed25519 signatures on every request.

The worker key (secp256k1) is at once the libp2p identity and the account that the registry on chain binds to its
owner; it signs a grant for a short-lived Ed25519 session key (RFC 8032), so that it isn't needed for each request.
"""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field

from r1net.errors import ProtocolError
from r1net.protocol.canonical import Address, Hash, Message, Signature, sha256

SESSION_HEADER = "R1-Session"
TIME_HEADER = "R1-Timestamp"
NONCE_HEADER = "R1-Nonce"
SIGNATURE_HEADER = "R1-Signature"
MAX_SKEW = 60.0
"""Seconds a request's timestamp may differ from the coordinator's clock."""


class SessionGrant(Message):
    """EIP-712 `Session(address owner, address worker, bytes32 sessionKey, string peerId, uint256 expires)`."""

    owner: Address
    worker: Address
    session_key: Hash = Field(description="Ed25519 public key, 32 bytes")
    peer_id: str
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


def request_text(method: str, target: str, body: bytes, timestamp: str, nonce: str) -> bytes:
    """What is signed of a request: method, path with query, body's SHA-256, time, nonce, a line each."""
    return "\n".join(("r1net/request/1", method.upper(), target, sha256(body), timestamp, nonce)).encode()


def sign_request(key: Ed25519PrivateKey, method: str, target: str, body: bytes, timestamp: str, nonce: str) -> str:
    """Base64 Ed25519 signature of a request."""
    return base64.b64encode(key.sign(request_text(method, target, body, timestamp, nonce))).decode()


def check_request(
    public_key: str, signature: str, method: str, target: str, body: bytes, timestamp: str, nonce: str
) -> None:
    """Raises ProtocolError unless `signature` is the session key's. Time and nonce are the caller's to check."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key.removeprefix("0x")))
        key.verify(base64.b64decode(signature, validate=True), request_text(method, target, body, timestamp, nonce))
    except (InvalidSignature, ValueError) as error:
        raise ProtocolError("the request's signature does not fit its session key") from error

"""Loaded by schemathesis: signs what it generates, as a node does."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from r1net.protocol.canonical import sha256
from r1net.protocol.session import content_digest, sign_request

KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(os.environ["R1_TEST_SESSION_KEY"]))
SESSION = os.environ["R1_TEST_SESSION"]
PREPARED = ("method", "url", "headers", "data", "json", "params", "cookies", "files")


@schemathesis.auth()
class Signing:
    """What the scheme "session" means. The library leaves it out by itself to see that it is asked for."""

    def get(self, case: Any, context: Any) -> str:
        """The session."""
        return SESSION

    def set(self, case: Any, data: str, context: Any) -> None:
        """Sign the body that will be sent, byte for byte."""
        given = {key: value for key, value in case.as_transport_kwargs().items() if key in PREPARED}
        request = requests.Request(**given).prepare()
        parts = urlsplit(request.url or "")
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        body = request.body or b""
        digest = sha256(body if isinstance(body, bytes) else str(body).encode())
        stamp, nonce = f"{time.time():.3f}", secrets.token_hex(12)
        case.headers = {
            **(case.headers or {}),
            "R1-Session": data,
            "R1-Timestamp": stamp,
            "R1-Nonce": nonce,
            "Content-Digest": content_digest(digest),
            "R1-Signature": sign_request(KEY, case.method, target, digest, stamp, nonce),
        }

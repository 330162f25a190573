"""What people send who hold no key that the network knows. Each function is one attempt; what comes back is counted."""

from __future__ import annotations

import json
import random
import secrets
import socket
import time
from collections.abc import Callable

import httpx
from eth_account import Account

from r1net.chain import peer_id_of
from r1net.protocol.session import OpenSession, SessionGrant, maddrs_digest
from r1net.protocol.signing import Domain, session_values

Attack = Callable[["Stranger"], str]
MIB = 2**20
_HOLD_SECONDS = 15.0


class Stranger:
    """One sender with its own connection and its own luck."""

    def __init__(self, url: str, domain: Domain, seed: int) -> None:
        self.url, self.domain = url, domain
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.rng = random.Random(seed)
        self.http = httpx.Client(base_url=url, timeout=30)

    def once(self) -> tuple[str, str]:
        """One attempt of some kind: its name, and what came of it."""
        attack = self.rng.choice(ATTACKS)
        try:
            return attack.__name__, attack(self)
        except (httpx.TransportError, OSError) as error:
            return attack.__name__, type(error).__name__


def unfinished_post(sender: Stranger) -> str:
    """A large body is announced, and a little of it comes."""
    with socket.create_connection((sender.host, sender.port), timeout=_HOLD_SECONDS) as peer:
        target = sender.rng.choice(("/v1/leases/x/rollout", "/v1/work", "/v1/jobs", "/v1/sessions", "/v1/blobs/0x00"))
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {63 * MIB}\r\n\r\n"
        peer.sendall(head.encode() + b"x" * 65536)
        return _status(peer.recv(64))


def stalled_head(sender: Stranger) -> str:
    """A request that never gets as far as its body."""
    with socket.create_connection((sender.host, sender.port), timeout=_HOLD_SECONDS) as peer:
        peer.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        end = time.monotonic() + sender.rng.uniform(0, _HOLD_SECONDS)
        while time.monotonic() < end:
            peer.sendall(b"y")
            time.sleep(1)
        return "held"


def garbage_blob(sender: Stranger) -> str:
    """Bytes under a name that nobody expects."""
    return str(sender.http.put(f"/v1/blobs/0x{secrets.token_hex(32)}", content=b"x" * MIB).status_code)


def unknown_grant(sender: Stranger) -> str:
    """A well-signed session grant of a worker that nobody registered."""
    key, owner = Account.create(), Account.create()
    addresses = ("/ip4/127.0.0.1/tcp/1",)
    grant = SessionGrant(
        owner=owner.address,
        worker=key.address,
        session_key="0x" + secrets.token_hex(32),
        peer_id=peer_id_of(key),
        maddrs=maddrs_digest(addresses),
        nonce="0x" + secrets.token_hex(32),
        expires=int(time.time()) + 3600,
    )
    signature = sender.domain.sign(key, "Session", session_values(grant))
    body = OpenSession(grant=grant, signature=signature, maddrs=addresses)
    return str(sender.http.post("/v1/sessions", content=body.model_dump_json()).status_code)


def malformed(sender: Stranger) -> str:
    """Bodies that break a parser."""
    body = sender.rng.choice(
        (
            b"[" * 200_000,
            b'{"a":' * 100_000,
            b"\xff" * 1000,
            json.dumps({"job_id": "0x" + "0" * 64, "spec": {"v": 10**30}}).encode(),
            b'{"v": 1e999}',
            b"null",
        )
    )
    target = sender.rng.choice(("/v1/jobs", "/v1/sessions", "/v1/work"))
    return str(sender.http.post(target, content=body).status_code)


def greedy_reader(sender: Stranger) -> str:
    """The dearest pages, and an answer that isn't read."""
    jobs = sender.http.get("/v1/jobs").json()
    if jobs and isinstance(jobs, list) and sender.rng.random() < 0.7:
        job_id = sender.rng.choice(jobs)["job_id"]
        page = sender.rng.choice(("traces?limit=1000", "rounds?wait=30&after=9", "evaluations", "traces/0x/proof"))
        with sender.http.stream("GET", f"/v1/jobs/{job_id}/{page}") as answer:
            return str(answer.status_code)
    target = sender.rng.choice(("/v1/nodes", "/v1/epochs", "/openapi.json", "/v1/refusals", "/", "/v1/network"))
    return str(sender.http.get(target).status_code)


def unsigned_work(sender: Stranger) -> str:
    """Requests with headers that nobody signed."""
    headers = {"R1-Session": secrets.token_hex(16), "R1-Timestamp": f"{time.time()}", "R1-Nonce": secrets.token_hex(8)}
    headers |= {"R1-Signature": "A" * 86 + "==", "Content-Digest": "sha-256=:" + "A" * 43 + "=:"}
    return str(sender.http.post("/v1/work", content=b"{}", headers=headers).status_code)


def _status(data: bytes) -> str:
    return data.split(b" ")[1].decode() if data.count(b" ") else "closed"


ATTACKS: tuple[Attack, ...] = (
    unfinished_post,
    stalled_head,
    garbage_blob,
    unknown_grant,
    malformed,
    greedy_reader,
    unsigned_work,
)

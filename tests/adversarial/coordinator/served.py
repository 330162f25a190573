"""A coordinator in a process of its own, with the real web server on loopback and the fake chain, for what must be seen
from outside: its memory, its sockets, its disk."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from r1coordinator.server import configure
from r1coordinator.services import build
from r1coordinator.settings import Settings
from r1coordinator.store.database import migrate
from r1net.chain import Deployment, JobState
from r1net.protocol.canonical import sha256
from r1net.protocol.job import JobSpec, SubmitJob
from r1net.protocol.signing import Domain
from r1net.scoring import JobScorer
from tests.e2e.harness.processes import free_port
from tests.unit.coordinator.chain import FakeChain
from tests.unit.coordinator.jobs import CHAIN_ID, MODEL_FILES, REGISTRY, job_spec, key, tokenizer_json
from tests.unit.coordinator.network import Node, upload_header

NODES = range(1, 9)
"""The nodes that the chain knows from the start."""
MIB = 2**20


class SlowChain(FakeChain):
    """A chain that takes its time over every question about a worker."""

    pause = 0.0
    funded = Path()

    def owner_of(self, worker: str) -> str | None:
        """See FakeChain."""
        time.sleep(self.pause)
        return super().owner_of(worker)

    def job(self, job_id: str, depth: int = 0) -> JobState:
        """See FakeChain; a file says which specifications are funded besides."""
        for path in self.funded.glob("*.spec"):
            self.fund(JobSpec.parse(path.read_text()), int(path.stem, 16))
        return super().job(job_id, depth)


class Served:
    """A coordinator process; what a `Node` needs to work in it."""

    def __init__(self, folder: Path, pause: float = 0.0, **settings: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.address = ("127.0.0.1", self.port)
        given = {
            "database": f"sqlite:///{folder}/r1.db",
            "blobs": f"{folder}/blobs",
            "port": self.port,
            "public_rpc_url": "http://127.0.0.1:1",
            "posts_per_minute": 10**6,
            **settings,
        }
        (folder / "served.json").write_text(json.dumps({"settings": given, "pause": pause}))
        (folder / "tokenizer.json").write_bytes(tokenizer_json())
        self.domain = Domain(CHAIN_ID, REGISTRY)
        self.clock: Callable[[], float] = time.time
        certificate = settings.get("tls_certificate")
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        trusted = ssl.create_default_context(cafile=certificate) if certificate else False
        self.http = httpx.Client(base_url=self.url, timeout=40, verify=trusted)
        command = [sys.executable, "-m", "tests.adversarial.coordinator.served", str(folder)]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            assert self._process.poll() is None, self.log()
            try:
                if self.http.get("/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the coordinator did not start within 30 s")

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Stopped at the end."""
        try:
            yield self
        finally:
            self.stop()

    def fund(self, spec: JobSpec) -> str:
        """Put a job into the escrow."""
        job_id = "0x" + f"{int(spec.digest(), 16) % 2**128:064x}"
        (self.folder / f"{job_id}.spec").write_text(spec.model_dump_json())
        return job_id

    def stop(self) -> None:
        """End the process."""
        self.http.close()
        self._process.terminate()
        self._process.wait(timeout=20)

    def log(self) -> str:
        """What it said."""
        return (self.folder / "log").read_text()

    def rss(self) -> float:
        """Memory of the service's own process, in MiB."""
        return psutil.Process(self._process.pid).memory_info().rss / MIB

    def disk(self) -> float:
        """What lies in the blob store, unfinished files included, in MiB."""
        return sum(path.stat().st_size for path in (self.folder / "blobs").rglob("*") if path.is_file()) / MIB

    def open_sockets(self) -> int:
        """Connections that the service holds open."""
        connections = psutil.Process(self._process.pid).net_connections("tcp")
        return sum(1 for connection in connections if connection.status == psutil.CONN_ESTABLISHED)

    def bind(self, node: Node) -> None:
        """The chain knows `NODES` from the start."""

    def node(self, number: int) -> Node:
        """A node with an open session."""
        node = Node(self, number)
        answer = node.open()
        assert answer.status_code == 200, answer.text
        return node

    def submit(self) -> str:
        """Submit the funded job and upload its model."""
        return self._submit("0x" + f"{1:064x}", job_spec(), MODEL_FILES)

    def take(self, spec: JobSpec, files: Mapping[str, bytes]) -> str:
        """Fund and submit a job, and upload its model."""
        return self._submit(self.fund(spec), spec, files)

    def _submit(self, job_id: str, spec: JobSpec, files: Mapping[str, bytes]) -> str:
        answer = self.http.post("/v1/jobs", content=SubmitJob(job_id=job_id, spec=spec).model_dump_json())
        assert answer.status_code == 200, answer.text
        headers = upload_header(self.domain, job_id, self.clock())
        for data in files.values():
            assert self.http.put(f"/v1/blobs/{sha256(data)}", content=data, headers=headers).is_success
        return job_id

    def scorer(self, job_id: str) -> JobScorer:
        """The job's scorer."""
        spec = JobSpec.model_validate(self.http.get(f"/v1/jobs/{job_id}").json()["spec"])
        return JobScorer(spec, self.folder / "tokenizer.json")

    def begin(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> socket.socket:
        """Send a request's head, and some of its body; the rest is the caller's to send or not."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in headers.items())]
        sent = socket.create_connection(self.address, timeout=20)
        sent.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        with suppress(OSError):  # answered and closed already
            sent.sendall(body)
        return sent

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> int:
        """The status of one request, by a client that costs next to nothing."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, target, body, headers or {})
            return connection.getresponse().status
        finally:
            connection.close()


def answer_of(sent: socket.socket) -> tuple[int, str]:
    """Status and text of the answer; (0, "") when the connection ended without one."""
    received = b""
    try:
        while chunk := sent.recv(65536):
            received += chunk
    except OSError:  # a reset after the answer
        pass
    if not received.startswith(b"HTTP/1.1 "):
        return 0, ""
    return int(received[9:12]), received.decode(errors="replace")


def main(folder: Path) -> None:
    """Serve until terminated."""
    import uvicorn

    from r1coordinator.api.app import create_app
    from r1net.sandbox import SandboxPool

    given = json.loads((folder / "served.json").read_text())
    settings = Settings.model_validate(given["settings"])
    migrate(settings.database)
    chain = SlowChain()
    chain.pause, chain.funded = given["pause"], folder
    chain.owners = {key(100 + number).address: key(200 + number).address for number in NODES}
    chain.fund(job_spec(), 1)
    deployment = Deployment(chain_id=CHAIN_ID, contracts={"NodeRegistry": REGISTRY}, block=0)
    sandbox = SandboxPool(2)
    services = build(settings, deployment, key(0), sandbox, chain=chain)
    try:
        uvicorn.Server(configure(create_app(services), settings)).run()
    finally:
        sandbox.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

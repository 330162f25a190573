"""The coordinator as its own process, on a real Anvil with the real contracts, and nodes that work in threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment, create_keystore
from r1net.protocol.canonical import sha256
from r1net.protocol.job import JobSpec, SubmitJob
from r1net.protocol.signing import Domain
from r1net.protocol.work import TrainTask
from r1net.scoring import JobScorer
from tests.e2e.harness.processes import free_port
from tests.integration import waiting
from tests.integration.chain.conftest import COIN, Anvil
from tests.unit.coordinator.jobs import MODEL_FILES, tokenizer_json
from tests.unit.coordinator.network import Node, upload_header

QUICK = {
    "HEARTBEAT_SECONDS": "1",
    "LEASE_SECONDS": "8",
    "LOST_AFTER_SECONDS": "4",
    "TICK_SECONDS": "0.2",
    "SETTLEMENT_POLL_SECONDS": "0.3",
    "SETTLEMENT_BACKOFF_MAX_SECONDS": "1",
}


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """`waiting.until`, with the patience that a network of processes needs."""
    return waiting.until(found, seconds)


class LiveWorld:
    """One coordinator process and what its nodes need. `chain` is the deployer's connection; `settler` settles."""

    def __init__(self, folder: Path, anvil: Anvil, chain: Chain, settler: LocalAccount) -> None:
        self.folder, self.anvil, self.chain = folder, anvil, chain
        self.deployment: Deployment = chain.deployment
        self.domain = Domain(self.deployment.chain_id, self.deployment.address("NodeRegistry"))
        self.clock: Callable[[], float] = time.time
        self.port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=40)
        self._scorers: dict[str, JobScorer] = {}
        self._settings(settler)
        self._run("migrate").wait(timeout=60)
        self.start()

    def _settings(self, settler: LocalAccount) -> None:
        create_keystore(self.folder / "key.json", "secret", key=settler.key, iterations=2)
        (self.folder / "password").write_text("secret\n")
        (self.folder / "password").chmod(0o600)
        self.deployment.save(self.folder / "deployment.json")
        (self.folder / "tokenizer.json").write_bytes(tokenizer_json())
        (self.folder / "r1coordinator.toml").write_text(
            'keystore = "key.json"\npassword_file = "password"\ndeployment = "deployment.json"\n'
            f'rpc_url = "{self.anvil.url}"\nport = {self.port}\n'
        )

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {f"R1_COORDINATOR_{name}": value for name, value in QUICK.items()}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [Path(sys.executable).with_name("r1coordinator"), *arguments],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.process = self._run("serve")
        until(self._answers, 30)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the process."""
        self.process.send_signal(how)
        self.process.wait(timeout=20)

    def restart(self) -> None:
        """SIGKILL, and start again."""
        self.kill()
        self.start()

    def bind(self, node: Node) -> None:
        """Stake for the owner and bind the worker."""
        self.anvil.fund(node.owner)
        self.chain.token.transfer(node.owner, 1_000 * COIN)
        Chain.connect(self.anvil.url, self.deployment, node.owner_key).registry.register(100 * COIN, node.key)

    def scorer(self, job_id: str) -> JobScorer:
        """The job's scorer."""
        if job_id not in self._scorers:
            spec = JobSpec.model_validate(self.get(f"/v1/jobs/{job_id}")["spec"])
            self._scorers[job_id] = JobScorer(spec, self.folder / "tokenizer.json")
        return self._scorers[job_id]

    def get(self, path: str) -> Any:
        """GET, again while the coordinator is away."""
        while True:
            try:
                return self.http.get(path).raise_for_status().json()
            except httpx.TransportError:
                time.sleep(0.2)

    def submit(self, spec: JobSpec) -> str:
        """Fund, submit, upload."""
        job_id = self.chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
        self.http.post("/v1/jobs", content=SubmitJob(job_id=job_id, spec=spec).model_dump_json()).raise_for_status()
        assert self.chain.account is not None
        headers = upload_header(self.domain, job_id, self.clock(), self.chain.account)
        for data in MODEL_FILES.values():
            self.http.put(f"/v1/blobs/{sha256(data)}", content=data, headers=headers).raise_for_status()
        return job_id


class LiveNode(Node):
    """A node that works in a thread until it is stopped, and outlives the coordinator's deaths."""

    def __init__(self, world: LiveWorld, number: int) -> None:
        super().__init__(world, number)
        self.stopped = threading.Event()
        self.dies_in_training = False
        self.trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def start(self) -> None:
        """Open a session and work."""
        assert self.open().status_code == 200
        self._thread.start()

    def stop(self) -> None:
        """Stop after the task in hand; raises what went wrong."""
        self.stopped.set()
        self._thread.join(timeout=60)
        if self.trouble is not None:
            raise self.trouble

    def _loop(self) -> None:
        while not self.stopped.is_set():
            try:
                self._turn()
            except httpx.TransportError:
                time.sleep(0.2)
            except Exception as error:  # told to the test by stop()
                self.trouble = error
                return

    def _turn(self) -> None:
        lease = self.work(wait=2)
        if lease is None:
            return
        assert self.heartbeat(lease)["alive"] is True
        if self.dies_in_training and isinstance(lease.task, TrainTask):
            self.stopped.set()
            return
        for _ in range(50):
            try:
                answer = self.do(lease)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            assert answer.status_code in (200, 202, 409), answer.text
            return

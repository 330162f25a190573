"""What people send who have a stake or an escrow: hostile workers, and submitters of jobs that are poison."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

import httpx
from tokenizers import Tokenizer

from r1net import Client
from r1net.chain import load_keystore, peer_id_of
from r1net.errors import R1Error, Refused
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import Evaluation, JobSpec, JobView, Prices, SubmitJob
from r1net.protocol.problems import EnvironmentSpec
from r1net.protocol.trace import TraceBundle
from r1net.protocol.work import Lease, RolloutTask, WorkRequest
from r1net.scoring import JobScorer
from r1node.network import connect_chain, network_info, signing_domain
from r1node.session import Session
from r1node.settings import Settings
from tests.e2e.demo.cheat import Forger
from tests.e2e.harness.network import Network

MARKER = Path(tempfile.gettempdir()) / "r1net-soak-executed"
PAYLOADS = (
    "<answer>9**9**9</answer>",
    f"<answer>__import__('os').system('touch {MARKER}')</answer>",
    "<answer>" * 200,
    "<answer>(((((((((((((((((((((((((((</answer>",
    "<answer>[x for x in iter(int, 1)]</answer>",
)
CONFIGS = (
    b'{"vocab_size": Infinity}',
    b'{"vocab_size": 1e400}',
    b'{"a":' * 150_000,
    b'{"vocab_size": 260, "auto_map": {"AutoConfig": "x.Y"}}',
)
SETTINGS = (
    ("n_queens", {"n": 10**7}, 0),
    ("chain_sum", {"min_terms": 10**9, "max_terms": 10**9}, 0),
    ("chain_sum", {"max_digits": 1, "max_terms": 2}, 100_000),
    ("no_such_generator", {}, 0),
)


class HostileWorker:
    """A staked worker that hands in payloads, gives leases back for made-up reasons, or lets them lapse."""

    def __init__(self, network: Network, name: str, seed: int) -> None:
        network.found_node(name)
        settings = Settings(
            coordinator=network.url, data_dir=network.folder / name, password_file=network.password_file
        )
        password = network.password_file.read_text()
        owner, worker = (load_keystore(p, password) for p in (settings.owner_keystore, settings.worker_keystore))
        settings = settings.model_copy(update={"deployment": network.deployment_file})
        info = network_info(settings)
        chain = connect_chain(settings, info, owner)
        chain.registry.register(chain.registry.min_stake(), worker)
        self.rng = random.Random(seed)
        self.worker = worker.address
        domain = signing_domain(settings, info)
        self.session = Session(
            network.url, domain, owner.address, worker, peer_id_of(worker), software="hostile", hardware=""
        )
        self.session.open([])

    def once(self) -> tuple[str, str]:
        """One lease, misused."""
        try:
            return self._once()
        except Refused as refusal:
            time.sleep(0.5)
            return "worker", refusal.code
        except R1Error as error:
            time.sleep(0.5)
            return "worker", error.code

    def _once(self) -> tuple[str, str]:
        lease = self.session.work(WorkRequest(capabilities=("rollout", "train"), wait=1)).lease
        if lease is None:
            return "worker", "no work"
        if not isinstance(lease.task, RolloutTask) or self.rng.random() < 0.3:
            self.session.report_failure(lease.id, "swarm", "somebody else is to blame")
            return "worker_gives_back", "given back"
        if self.rng.random() < 0.2:
            for _ in range(3):
                self.session.heartbeat(lease.id)
                time.sleep(1)
            return "worker_only_beats", "beaten"
        return self._hand_in(lease, lease.task)

    def _hand_in(self, lease: Lease, task: RolloutTask) -> tuple[str, str]:
        view = self.session.transport.get(f"/v1/jobs/{lease.job_id}", JobView)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tokenizer.json"
            self.session.transport.fetch_blob(view.spec.model.files["tokenizer.json"].sha256, path)
            tokenizer = Tokenizer.from_file(str(path))
            forger = Forger(JobScorer(view.spec, path), tokenizer, self.worker)
        size = view.spec.stage.group_size if task.split == "train" else 1
        traces = [forger.trace(lease.job_id, task, group, index) for group in task.groups for index in range(size)]
        ids = tokenizer.encode(self.rng.choice(PAYLOADS), add_special_tokens=False).ids
        ids = [*ids[: view.spec.sampling.max_tokens - 1], view.spec.stop_token_ids[0]]
        change = {"completion_ids": tuple(ids), "logprobs": tuple(-0.1 for _ in ids)}
        traces[0] = traces[0].model_copy(update=change)
        self.session.submit_rollout(TraceBundle(lease_id=lease.id, traces=tuple(traces)), {})
        return "worker_hands_in_payload", "accepted"


class PoisonSubmitter:
    """A submitter with an escrow of one wei whose models and settings are meant to crash whoever reads them."""

    def __init__(self, client: Client, spec: JobSpec, files: dict[str, bytes], seed: int) -> None:
        self._client, self._files = client, files
        self._spec = spec.model_copy(update={"submitter": client._require_signer().address})
        self._rng = random.Random(seed)

    def once(self) -> tuple[str, str]:
        """One job."""
        try:
            return "poison_job", self._submit()
        except (R1Error, httpx.TransportError) as error:
            return "poison_job", getattr(error, "code", type(error).__name__)

    def _submit(self) -> str:
        name = f"poison {self._rng.random()}"
        spec, files = self._spec.model_copy(update={"name": name, "budget": 1, "prices": Prices()}), self._files
        if self._rng.random() < 0.5:
            generator, settings, problems = self._rng.choice(SETTINGS)
            environment = EnvironmentSpec(name=f"reasoning_gym:{generator}", config=settings)
            spec = spec.model_copy(update={"environment": environment, "evaluation": Evaluation(problems=problems)})
        else:
            files = files | {"config.json": self._rng.choice(CONFIGS)}
            refs = {name: FileRef(sha256=sha256(data), size=len(data)) for name, data in files.items()}
            spec = spec.model_copy(update={"model": spec.model.model_copy(update={"files": refs})})
        job_id = self._client.chain.escrow.create_job(spec.payment_token, 1, 1, spec.digest())
        body = SubmitJob(job_id=job_id, spec=spec)
        view = self._client.transport.post("/v1/jobs", body, JobView)
        with tempfile.TemporaryDirectory() as folder:
            paths = {sha256(data): Path(folder) / name for name, data in files.items()}
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            self._client._upload(view, paths)
        return self._client.run(job_id).view().state

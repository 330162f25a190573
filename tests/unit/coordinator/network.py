"""A coordinator on real stores, and nodes that do honest work without a model."""

from __future__ import annotations

import json
import secrets
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_account.signers.local import LocalAccount
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import delete, select

from r1coordinator.api.app import create_app
from r1coordinator.services import Services, build
from r1coordinator.settings import Settings
from r1coordinator.store.database import migrate
from r1coordinator.store.tables import AttemptRow, StandingRow
from r1net.chain import Deployment, peer_id_of
from r1net.environments import Shards, Weights
from r1net.protocol.canonical import sha256
from r1net.protocol.gradients import BUCKETS, GradientCommitment, GradientStatement, SignedStatement, pack
from r1net.protocol.job import JobSpec
from r1net.protocol.reach import DialOrder, DialReport
from r1net.protocol.session import OpenSession, SessionGrant, content_digest, maddrs_digest, sign_request
from r1net.protocol.signing import Domain, dialled_values, session_values, submission_values, upload_values
from r1net.protocol.trace import RolloutSubmission, Trace, TraceBundle
from r1net.protocol.upload import SignedUpload, Upload
from r1net.protocol.views import RoundMix
from r1net.protocol.work import (
    Lease,
    PossessionProof,
    PublishTask,
    RolloutTask,
    TrainReport,
    TrainTask,
    Vote,
    VoteReveal,
    WorkAnswer,
)
from r1net.scoring import JobScorer
from tests.sandbox import SANDBOX
from tests.unit.coordinator.chain import FakeChain
from tests.unit.coordinator.jobs import (
    CHAIN_ID,
    MODEL_FILES,
    REGISTRY,
    SUBMITTER_KEY,
    TOKEN,
    file_of,
    honest_trace,
    job_spec,
    key,
    next_version,
)


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    time: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.time


def upload_header(domain: Domain, job_id: str, now: float, signer: LocalAccount = SUBMITTER_KEY) -> dict[str, str]:
    """What lets a submitter upload the files of his job's model."""
    upload = Upload(job_id=job_id, expires=int(now) + 3600)
    signature = domain.sign(signer, "Upload", upload_values(upload))
    return {"R1-Upload": SignedUpload(upload=upload, signature=signature).model_dump_json()}


QUICK = {"chain_answer_seconds": 0, "posts_per_minute": 10**6}
"""Settings under which tests needn't wait: the registry is asked each time, and nobody posts too often."""


class World:
    """A coordinator with its stores in `folder`, reachable through `http`."""

    def __init__(self, folder: Path, chain: FakeChain | None = None, **settings: Any) -> None:
        self.folder = folder
        self.chain = chain or FakeChain()
        self.clock = Clock()
        self.settings = Settings(
            database=f"sqlite:///{folder / 'r1.db'}",
            blobs=folder / "blobs",
            settlement_poll_seconds=0.01,
            **(QUICK | settings),
        )
        migrate(self.settings.database)
        self.start()

    def start(self) -> None:
        """Start, or start again after `kill`."""
        deployment = Deployment(chain_id=CHAIN_ID, contracts={"NodeRegistry": REGISTRY, "R1Token": TOKEN}, block=0)
        self.services: Services = build(self.settings, deployment, key(0), SANDBOX, chain=self.chain, clock=self.clock)
        self.http = TestClient(create_app(self.services, background=False), raise_server_exceptions=False)
        self.http.__enter__()

    def kill(self) -> None:
        """Forget everything that isn't on disk."""
        self.http.__exit__(None, None, None)

    def publishing(self) -> bool:
        """Whether an attempt waits for its version's files."""
        with self.services.db.read() as s:
            return s.scalar(select(AttemptRow.attempt).where(AttemptRow.state == "publishing").limit(1)) is not None

    def forgive(self) -> None:
        """Forget what counts against anybody."""
        with self.services.db.write() as s:
            s.execute(delete(StandingRow))

    def look_at_stakes(self) -> bool:
        """Let the coordinator look at the registry."""
        from r1coordinator.scheduling.stakes import watch_stakes

        services = self.services
        return watch_stakes(services.db, services.ctx, services.registrations, services.clock)

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and the coordinator notice."""
        from r1coordinator.scheduling.intake import start_waiting
        from r1coordinator.scheduling.tick import tick

        self.clock.time += seconds
        start_waiting(self.services.db, self.services.ctx, self.services.scorers, self.clock())
        tick(self.services.db, self.services.ctx, self.clock())

    @property
    def domain(self) -> Domain:
        """Where signatures hold."""
        return self.services.domain

    def bind(self, node: Node) -> None:
        """Make the chain know the worker and its owner."""
        self.chain.owners[node.worker] = node.owner

    def scorer(self, job_id: str) -> JobScorer:
        """The job's scorer."""
        spec = JobSpec.model_validate(self.job(job_id)["spec"])
        tokenizer = self.services.blobs.get(spec.model.files["tokenizer.json"].sha256)
        return JobScorer(spec, tokenizer, Shards(spec, self.services.blobs.path).line, partial(self.mix, job_id))

    def mix(self, job_id: str, round_: int) -> Weights:
        """What the coordinator says that a round is drawn with."""
        answer = self.http.get(f"/v1/jobs/{job_id}/mix/{round_}")
        assert answer.status_code == 200, answer.text
        return RoundMix.parse(answer.content).weights

    def submit(self, spec: JobSpec | None = None, number: int = 1, files: Mapping[str, bytes] = MODEL_FILES) -> str:
        """Fund, submit and upload a job."""
        spec = spec or job_spec()
        job_id = self.chain.fund(spec, number)
        answer = self.http.post(
            "/v1/jobs", content=json.dumps({"job_id": job_id, "spec": spec.model_dump(mode="json")})
        )
        assert answer.status_code == 200, answer.text
        for data in files.values():
            assert self.upload(job_id, data).status_code in (200, 201)
        return job_id

    def upload(self, job_id: str, data: bytes) -> Response:
        """Upload a file of the job's model, as its submitter."""
        headers = upload_header(self.domain, job_id, self.clock())
        answer: Response = self.http.put(f"/v1/blobs/{sha256(data)}", content=data, headers=headers)
        return answer

    def job(self, job_id: str) -> dict[str, Any]:
        """The job's view."""
        view: dict[str, Any] = self.http.get(f"/v1/jobs/{job_id}").json()
        return view

    def node(self, number: int, **changes: Any) -> Node:
        """A node with an open session."""
        node = Node(self, number, **changes)
        assert node.open().status_code == 200
        return node


class Place(Protocol):
    """What a node needs of the network that it works in."""

    http: httpx.Client
    domain: Domain
    clock: Callable[[], float]

    def bind(self, node: Node) -> None:
        """Make the chain know the worker and its owner."""
        ...

    def scorer(self, job_id: str) -> JobScorer:
        """The job's scorer."""
        ...


GRADIENT_NORM = BUCKETS**0.5
"""Of every slot's gradient here: its sketch is 1 everywhere."""


def sketch_of(value: float) -> str:
    """A sketch that is the same everywhere."""
    return pack(array("f", [value] * BUCKETS))


_MADDRS = ("/ip4/127.0.0.1/tcp/1",)
KEYS: dict[str, LocalAccount] = {}
"""Worker -> its key, of every node that was made: each is there when it is dialled."""


class Node:
    """An honest node without a model: it answers right, wrong or at length, as the sampling seed says."""

    def __init__(self, world: Place, number: int, owner: int | None = None) -> None:
        self.world = world
        self.key = key(100 + number)
        self.owner_key = key(200 + (number if owner is None else owner))
        self.owner = self.owner_key.address
        self.worker = self.key.address
        self.session_key = Ed25519PrivateKey.generate()
        self.session_id = ""
        self.holds: dict[str, int] = {}
        self.floors: dict[str, int] | None = None
        self.file_of: Callable[[int, str], bytes] = file_of
        self.maddrs: tuple[str, ...] = _MADDRS
        self.dials: list[DialOrder] = []
        KEYS[self.worker] = self.key
        world.bind(self)

    def grant(self, **changes: Any) -> OpenSession:
        """A signed session grant."""
        public = self.session_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        values: dict[str, Any] = {
            "owner": self.owner,
            "worker": self.worker,
            "session_key": "0x" + public.hex(),
            "peer_id": peer_id_of(self.key),
            "maddrs": maddrs_digest(self.maddrs),
            "nonce": "0x" + secrets.token_hex(32),
            "expires": int(self.world.clock()) + 86400,
        }
        grant = SessionGrant(**(values | changes))
        signature = self.world.domain.sign(self.key, "Session", session_values(grant))
        return OpenSession(grant=grant, signature=signature, maddrs=self.maddrs)

    def open(self, request: OpenSession | None = None) -> Response:
        """POST /v1/sessions."""
        body = (request or self.grant()).model_dump_json()
        answer: Response = self.world.http.post("/v1/sessions", content=body)
        if answer.status_code == 200:
            self.session_id = answer.json()["session_id"]
        return answer

    def headers(self, method: str, target: str, body: bytes, **changes: str) -> dict[str, str]:
        """A signed request's headers."""
        stamp, nonce = changes.get("stamp", repr(self.world.clock())), changes.get("nonce", secrets.token_hex(8))
        signature = sign_request(self.session_key, method, target, sha256(body), stamp, nonce)
        return {
            "Content-Digest": content_digest(sha256(body)),
            "R1-Session": self.session_id,
            "R1-Timestamp": stamp,
            "R1-Nonce": nonce,
            "R1-Signature": changes.get("signature", signature),
        }

    def post(self, target: str, body: bytes | str = b"{}", **changes: str) -> Response:
        """A signed POST."""
        data = body.encode() if isinstance(body, str) else body
        headers = self.headers("POST", target, data, **changes)
        answer: Response = self.world.http.post(target, content=data, headers=headers)
        return answer

    def work(self, *capabilities: str, wait: float = 0) -> Lease | None:
        """Ask for work."""
        return self.ask(*capabilities, wait=wait).lease

    def ask(self, *capabilities: str, wait: float = 0) -> WorkAnswer:
        """Ask for work; with the reason when there is none."""
        body: dict[str, Any] = {"capabilities": capabilities or ("rollout", "train"), "holds": self.holds, "wait": wait}
        if self.floors is not None:
            body["floors"] = {token: str(wei) for token, wei in self.floors.items()}
        answer = self.post("/v1/work", json.dumps(body))
        assert answer.status_code == 200, answer.text
        found = WorkAnswer.parse(answer.content)
        for order in found.dials:
            self.dial(order)
        return found

    def dial(self, order: DialOrder) -> Response:
        """Do what an order says: whoever is dialled answers."""
        self.dials.append(order)
        proof = self.world.domain.sign(KEYS[order.worker], "Dialled", dialled_values(order.worker, order.nonce))
        return self.say(DialReport(id=order.id, outcome="reached", maddr=order.maddrs[0], proof=proof))

    def say(self, report: DialReport) -> Response:
        """What came of an order."""
        return self.post(f"/v1/dials/{report.id}", report.model_dump_json())

    def heartbeat(self, lease: Lease) -> dict[str, Any]:
        """Keep a lease alive."""
        answer: dict[str, Any] = self.post(f"/v1/leases/{lease.id}/heartbeat").json()
        for order in answer.get("dials", ()):
            self.dial(DialOrder.model_validate_json(json.dumps(order)))
        return answer

    def traces(self, lease: Lease) -> list[Trace]:
        """Honest traces of a rollout lease."""
        assert isinstance(lease.task, RolloutTask)
        scorer = self.world.scorer(lease.job_id)
        size = scorer.spec.stage.group_size if lease.task.split == "train" else 1
        return [honest_trace(scorer, lease, group, index) for group in lease.task.groups for index in range(size)]

    def shown(self, vote: Vote, salt: str) -> str:
        """A vote's reveal, signed."""
        values = submission_values(vote.lease_id, vote.root(), 1)
        signature = self.world.domain.sign(self.key, "Submission", values)
        return VoteReveal(vote=vote, salt=salt, signature=signature).model_dump_json()

    def sign(self, lease: Lease, traces: Sequence[Trace]) -> RolloutSubmission:
        """A signed submission."""
        bundle = TraceBundle(lease_id=lease.id, traces=tuple(traces))
        values = submission_values(lease.id, bundle.tree().root, len(bundle.traces))
        return RolloutSubmission(bundle=bundle, signature=self.world.domain.sign(self.key, "Submission", values))

    def submit(self, lease: Lease, submission: RolloutSubmission | None = None) -> Response:
        """Do a rollout lease."""
        chosen = submission or self.sign(lease, self.traces(lease))
        return self.post(f"/v1/leases/{lease.id}/rollout", chosen.model_dump_json())

    def commitment(self, lease: Lease, norm: float = GRADIENT_NORM) -> GradientCommitment:
        """What fixes the slot's gradient."""
        assert isinstance(lease.task, TrainTask)
        sections = tuple(sha256(f"{lease.id}/{number}".encode()) for number in range(len(lease.task.slots)))
        return GradientCommitment(lease_id=lease.id, sections=sections, norm=norm)

    def commit(self, lease: Lease, norm: float = GRADIENT_NORM) -> Response:
        """Commit to the slot's gradient."""
        return self.post(f"/v1/leases/{lease.id}/gradient", self.commitment(lease, norm).model_dump_json())

    def statement(self, lease: Lease, **changes: Any) -> GradientStatement:
        """What an honest trainer says of its gradient once the seed is drawn: each slot's is the same here."""
        task = lease.task
        assert isinstance(task, TrainTask)
        path = f"/v1/jobs/{lease.job_id}/rounds/{task.round}/attempts/{task.attempt}/outcome"
        values: dict[str, Any] = {
            "job_id": lease.job_id,
            "round": task.round,
            "attempt": task.attempt,
            "lease_id": lease.id,
            "worker": self.worker,
            "task": task.digest(),
            "commitment": self.commitment(lease).digest(),
            "norm": GRADIENT_NORM,
            "seed": self.world.http.get(path).json()["seed"],
            "sketch": sketch_of(1.0),
            "total": sketch_of(float(len(task.slots))),
            "version": next_version(task, "", self.file_of),
        }
        return GradientStatement(**(values | changes))

    def state(self, lease: Lease, statement: GradientStatement | None = None) -> Response:
        """Answer for a gradient."""
        said = statement or self.statement(lease)
        values = submission_values(said.lease_id, said.root(), 1)
        signed = SignedStatement(statement=said, signature=self.world.domain.sign(self.key, "Submission", values))
        return self.post(f"/v1/leases/{lease.id}/statement", signed.model_dump_json())

    def report(self, lease: Lease, flavour: str = "", metrics: dict[str, float] | None = None) -> Response:
        """Report a training step that was committed to; a `flavour` makes the version differ from the honest one."""
        assert isinstance(lease.task, TrainTask)
        self.commit(lease)
        version = next_version(lease.task, flavour, self.file_of)
        report = TrainReport(
            lease_id=lease.id,
            version=version,
            trained_tokens=1,
            metrics={"grad_norm": 1.0} if metrics is None else metrics,
        )
        return self.post(f"/v1/leases/{lease.id}/train", report.model_dump_json())

    def fail(self, lease: Lease, code: str) -> Response:
        """Give a lease up."""
        body = json.dumps({"lease_id": lease.id, "code": code, "detail": "as the test wants it"})
        return self.post(f"/v1/leases/{lease.id}/failure", body)

    def publish(self, lease: Lease) -> Response:
        """Upload a version's files, or prove that they are held."""
        assert isinstance(lease.task, PublishTask)
        if lease.task.salt is not None:
            return self.prove(lease)
        for part in ("policy", "optimizer"):
            data = self.file_of(lease.task.version.number, part)
            target = f"/v1/blobs/{sha256(data)}"
            answer = self.world.http.put(target, content=data, headers=self.headers("PUT", target, data))
            assert answer.status_code in (200, 201), answer.text
        return self.post(f"/v1/leases/{lease.id}/published")

    def prove(self, lease: Lease, flavour: str = "") -> Response:
        """Prove possession of a version's files; with a `flavour`, of others."""
        assert isinstance(lease.task, PublishTask)
        salt = bytes.fromhex((lease.task.salt or "")[2:])
        proofs = {}
        for part in ("policy", "optimizer"):
            data = self.file_of(lease.task.version.number, part)
            proofs[sha256(data)] = sha256(salt + data + flavour.encode())
        body = PossessionProof(lease_id=lease.id, proofs=proofs).model_dump_json()
        return self.post(f"/v1/leases/{lease.id}/possession", body)

    def do(self, lease: Lease) -> Response:
        """Whatever the lease asks for, honestly."""
        if isinstance(lease.task, RolloutTask):
            return self.submit(lease)
        if isinstance(lease.task, TrainTask):
            self.holds[lease.job_id] = lease.task.version.number + 1
            return self.report(lease)
        return self.publish(lease)


def run(world: World, nodes: Sequence[Node], job_id: str, turns: int = 200) -> dict[str, Any]:
    """Let the nodes work in turn until the job is over."""
    for _ in range(turns):
        if world.job(job_id)["state"] not in ("running", "waiting_for_model"):
            break
        for node in nodes:
            lease = node.work()
            if lease is not None:
                answer = node.do(lease)
                assert answer.status_code in (200, 202), answer.text
        world.tick(1)
    return world.job(job_id)


def publish_all(world: World, nodes: Sequence[Node]) -> None:
    """Let the nodes do what they are asked for while an attempt waits for its version's files."""
    world.tick()
    for node in nodes:
        for lease in iter(lambda node=node: node.work() if world.publishing() else None, None):  # type: ignore[misc]
            assert isinstance(lease.task, PublishTask)
            assert node.publish(lease).status_code == 200

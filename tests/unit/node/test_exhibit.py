"""A coordinator that lies about evidence is found out: everything is held against the worker's signature."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from eth_account import Account

from r1net.errors import ProtocolError, Refused
from r1net.protocol.canonical import Message, sha256
from r1net.protocol.evidence import Finding
from r1net.protocol.job import PolicyVersion
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import SignedTrace, Trace, TraceBundle
from r1net.protocol.work import VerifyTask, Vote
from r1net.transport import Transport
from r1node.verification.exhibit import MOST_TRACES, Exhibit, VoteExhibit, fetch_exhibit

JOB = "0x" + "11" * 32
DOMAIN = Domain(chain_id=31337, registry="0x" + "22" * 20)
WORKER = Account.create()


def trace(index: int) -> Trace:
    return Trace(
        job_id=JOB,
        split="train",
        round=0,
        group=0,
        index=index,
        policy=JOB,
        worker=WORKER.address,
        prompt_ids=(1,),
        completion_ids=(2,),
        logprobs=(-0.5,),
        reward_parts={},
        reward=0.0,
        finish_reason="stop",
        seed=index,
    )


BUNDLE = TraceBundle(lease_id="lease", traces=tuple(trace(index) for index in range(5)))
OTHER = TraceBundle(lease_id="lease", traces=tuple(trace(index) for index in (0, 1, 2, 3, 3)))


def signed(position: int = 2) -> SignedTrace:
    tree = BUNDLE.tree()
    values = submission_values("lease", tree.root, 5)
    return SignedTrace(
        job_id=JOB,
        trace_digest=BUNDLE.traces[position].digest(),
        worker=WORKER.address,
        lease_id="lease",
        traces_root=tree.root,
        count=5,
        signature=DOMAIN.sign(WORKER, "Submission", values),
        proof=tuple(tree.proof(position)),
        bundle=sha256(BUNDLE.canonical()),
        position=position,
    )


class Liar(ThreadingHTTPServer):
    """Serves what it was given, whatever is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    def serve(self, message: SignedTrace, *bundles: Message) -> None:
        """One answer for every submission, and blobs under their names."""
        self.files = {"submission": message.canonical()}
        self.files |= {sha256(bundle.canonical()): bundle.canonical() for bundle in bundles}


class _Handler(BaseHTTPRequestHandler):
    server: Liar

    def do_GET(self) -> None:
        data = self.server.files.get(self.path.rsplit("/", 1)[1])
        self.send_response(200 if data else 404)
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def source(liar: Liar) -> Iterator[Transport]:
    with Transport(f"http://127.0.0.1:{liar.server_address[1]}") as transport:
        yield transport


def test_the_truth_passes(liar: Liar, source: Transport) -> None:
    liar.serve(signed(), BUNDLE)
    exhibit = fetch_exhibit(source, DOMAIN, JOB, signed().trace_digest)
    assert isinstance(exhibit, Exhibit)
    assert exhibit.trace == BUNDLE.traces[2]
    assert [one.index for one in exhibit.sample()] == [2, 3, 4, 0, 1]


LIES: list[Callable[[SignedTrace], SignedTrace]] = [
    lambda message: message.model_copy(update={"worker": Account.create().address}),
    lambda message: message.model_copy(update={"lease_id": "another"}),
    lambda message: message.model_copy(update={"count": 6}),
    lambda message: message.model_copy(update={"traces_root": JOB}),
    lambda message: message.model_copy(update={"proof": ()}),
    lambda message: message.model_copy(update={"position": 3}),
    lambda message: message.model_copy(update={"position": 99}),
    lambda message: message.model_copy(update={"bundle": sha256(OTHER.canonical())}),
    lambda message: signed(1),
]


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_found_out(liar: Liar, source: Transport, lie: Callable[[SignedTrace], SignedTrace]) -> None:
    liar.serve(lie(signed()), BUNDLE, OTHER)
    with pytest.raises(ProtocolError):
        fetch_exhibit(source, DOMAIN, JOB, signed().trace_digest)


TASK = VerifyTask(
    split="train",
    round=0,
    version=PolicyVersion(number=0, policy=JOB),
    bundle=sha256(BUNDLE.canonical()),
    positions=(1, 3),
)
FIGURES = dict.fromkeys(
    ("mean_abs_delta", "mean_delta", "max_abs_delta", "noise", "drawn", "mean_miss", "usual_noise", "usual_miss"), 0.0
)
VOTE = Vote(
    job_id=JOB,
    lease_id="verify",
    task=TASK.digest(),
    finding=Finding(worker=WORKER.address, traces=2, tokens=2, **FIGURES),  # type: ignore[arg-type]
)


def signed_vote(vote: Vote = VOTE) -> SignedTrace:
    values = submission_values(vote.lease_id, vote.root(), 1)
    return SignedTrace(
        job_id=JOB,
        trace_digest=vote.digest(),
        worker=WORKER.address,
        lease_id=vote.lease_id,
        traces_root=vote.root(),
        count=1,
        signature=DOMAIN.sign(WORKER, "Submission", values),
        proof=(),
        bundle=vote.digest(),
        position=0,
    )


def test_a_vote_is_shown_with_its_task(liar: Liar, source: Transport) -> None:
    liar.serve(signed_vote(), VOTE, TASK)
    exhibit = fetch_exhibit(source, DOMAIN, JOB, VOTE.digest())
    assert isinstance(exhibit, VoteExhibit)
    assert (exhibit.vote, exhibit.task) == (VOTE, TASK)


@pytest.mark.parametrize("change", [{"lease_id": "other"}, {"job_id": "0x" + "12" * 32}])
def test_a_vote_of_another_lease_or_job_is_no_evidence(liar: Liar, source: Transport, change: dict[str, str]) -> None:
    """It is signed, but under the names of this one."""
    vote = VOTE.model_copy(update=change)
    message = signed_vote(vote)
    values = submission_values("verify", vote.root(), 1)
    message = message.model_copy(
        update={"lease_id": "verify", "signature": DOMAIN.sign(WORKER, "Submission", values), "job_id": JOB}
    )
    liar.serve(message, vote, TASK)
    with pytest.raises(ProtocolError):
        fetch_exhibit(source, DOMAIN, JOB, vote.digest())


def test_a_vote_that_somebody_else_signed_is_no_evidence(liar: Liar, source: Transport) -> None:
    liar.serve(signed_vote().model_copy(update={"worker": Account.create().address}), VOTE, TASK)
    with pytest.raises(ProtocolError):
        fetch_exhibit(source, DOMAIN, JOB, VOTE.digest())


def test_a_bundle_that_is_gone(liar: Liar, source: Transport) -> None:
    liar.serve(signed())
    with pytest.raises(Refused):
        fetch_exhibit(source, DOMAIN, JOB, signed().trace_digest)


def test_a_wide_submission_is_sampled_from_the_disputed_trace_on() -> None:
    many = TraceBundle(lease_id="lease", traces=tuple(trace(index) for index in range(MOST_TRACES + 10)))
    exhibit = Exhibit(signed().model_copy(update={"position": MOST_TRACES}), many)
    indices = [one.index for one in exhibit.sample()]
    assert len(indices) == MOST_TRACES
    assert indices[0] == MOST_TRACES
    assert indices[10] == 0

"""What strangers send, seen from outside a real server: it is refused by its head, and it costs neither memory, disk,
threads nor sockets for long."""

from __future__ import annotations

import hashlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from eth_account import Account

from r1net.errors import Refused
from r1net.protocol.canonical import sha256
from r1net.protocol.files import FileRef
from r1net.protocol.job import JobView, ModelRef, SubmitJob
from r1net.protocol.session import content_digest
from r1net.transport import Transport
from tests.adversarial.coordinator.served import MIB, Served, answer_of
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec, sharded
from tests.unit.coordinator.network import Node, upload_header

STALL = 1.0
LARGE = 63 * MIB
LITTLE = 30
"""MiB by which the service may grow under what is none of its memory's business."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"), body_stall_seconds=STALL)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def job_id(served: Served) -> str:
    return served.submit()


def length(size: int, **more: str) -> dict[str, str]:
    return {"Content-Length": str(size), "Content-Type": "application/json", **more}


def signed(node: Node, target: str, size: int, digest: str = "0x" + "ab" * 32) -> dict[str, str]:
    """A head that the node's session signed, for a body that needn't come."""
    headers = node.headers("POST", target, b"")
    return length(size, **resigned(node, "POST", target, digest, headers))


def resigned(node: Node, method: str, target: str, digest: str, headers: dict[str, str]) -> dict[str, str]:
    from r1net.protocol.session import sign_request

    stamp, nonce = headers["R1-Timestamp"], headers["R1-Nonce"]
    signature = sign_request(node.session_key, method, target, digest, stamp, nonce)
    return headers | {"Content-Digest": content_digest(digest), "R1-Signature": signature}


def forged() -> dict[str, str]:
    return {
        "R1-Session": "0" * 32,
        "R1-Timestamp": f"{time.time():.3f}",
        "R1-Nonce": "n",
        "R1-Signature": "A" * 86 + "==",
        "Content-Digest": content_digest("0x" + "00" * 32),
    }


def close_all(sent: list[socket.socket]) -> None:
    for one in sent:
        one.close()


@pytest.mark.parametrize("with_headers", [False, True], ids=["without headers", "with forged headers"])
def test_strangers_are_answered_before_their_bodies_come(served: Served, with_headers: bool) -> None:
    """Thirty unfinished posts of 63 MiB each, a few megabytes of each sent."""
    before = served.rss()
    part = bytes(4 * MIB)

    def post(_: int) -> tuple[int, str]:
        headers = length(LARGE, **(forged() if with_headers else {}))
        with served.begin("POST", "/v1/leases/x/rollout", headers) as sent:
            answer = answer_of_first(sent)
            with suppress(OSError):  # closed, as it should be
                sent.sendall(part)
            return answer

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(post, range(30)))
    assert {status for status, _ in answers} <= {401, 429}
    assert any(status == 401 for status, _ in answers)
    assert all("connection: close" in text.lower() for _, text in answers)
    assert served.rss() - before < LITTLE
    assert served.http.get("/healthz").status_code == 200


def answer_of_first(sent: socket.socket) -> tuple[int, str]:
    """The answer's first bytes, read while the body is still owed."""
    text = sent.recv(65536).decode()
    return int(text[9:12]), text


def test_a_worker_that_stalls_is_cut_off_and_holds_no_memory(served: Served, job_id: str) -> None:
    node = served.node(1)
    lease = node.work()
    assert lease is not None
    target = f"/v1/leases/{lease.id}/rollout"
    before = served.rss()
    part = bytes(2 * MIB)
    started = time.monotonic()
    sent = [served.begin("POST", target, signed(node, target, LARGE), part) for _ in range(6)]
    answers = [answer_of(one)[0] for one in sent]
    close_all(sent)
    assert time.monotonic() - started < 10 * STALL
    assert sorted(set(answers)) == [408, 429], "two at once, and these are given up; the others are told to wait"
    assert served.rss() - before < LITTLE
    assert node.submit(lease).status_code == 200


def test_a_worker_sends_bodies_for_its_own_leases_only(served: Served, job_id: str) -> None:
    owner, other = served.node(2), served.node(3)
    lease = owner.work()
    assert lease is not None
    for lease_id, expected in (("nothing", 404), (lease.id, 403)):
        target = f"/v1/leases/{lease_id}/rollout"
        with served.begin("POST", target, signed(other, target, LARGE)) as sent:
            assert answer_of(sent)[0] == expected
    assert owner.submit(lease).status_code == 200


def test_a_body_that_was_not_signed_for_is_not_looked_at(served: Served, job_id: str) -> None:
    node = served.node(4)
    body = b'{"capabilities":["rollout"],"wait":0}'
    head = resigned(node, "POST", "/v1/work", sha256(b"other"), node.headers("POST", "/v1/work", b""))
    answer = served.http.post("/v1/work", content=body, headers=head)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_digest")
    large = hashlib.sha256(bytes(3 * MIB)).hexdigest()
    target = "/v1/work"
    too_large = resigned(node, "POST", target, "0x" + large, node.headers("POST", target, b""))
    answer = served.http.post(target, content=bytes(3 * MIB), headers=too_large)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    endless = served.http.post(target, content=iter([body]), headers=node.headers("POST", target, body))
    assert (endless.status_code, endless.json()["code"]) == (411, "length_required")


@pytest.mark.parametrize("target", ["/v1/jobs", "/v1/sessions"])
def test_unsigned_bodies_are_small_and_come_in_time(served: Served, target: str) -> None:
    largest = {"/v1/jobs": MIB, "/v1/sessions": 16 * 2**10}[target]
    with served.begin("POST", target, length(largest + 1)) as sent:
        assert answer_of(sent)[0] == 413
    started = time.monotonic()
    with served.begin("POST", target, length(largest), b'{"v": 1') as sent:
        assert answer_of(sent)[0] == 408
    assert time.monotonic() - started < STALL + 4


def test_a_trickle_is_cut_off_as_silence_is(served: Served) -> None:
    started = time.monotonic()
    with served.begin("POST", "/v1/jobs", length(MIB)) as sent:
        ended = threading.Event()

        def trickle() -> None:
            while not ended.wait(STALL / 5):
                try:
                    sent.sendall(b" ")
                except OSError:
                    return

        feeder = threading.Thread(target=trickle)
        feeder.start()
        status, _ = answer_of(sent)
        ended.set()
        feeder.join()
    assert status == 408
    assert time.monotonic() - started < 3 * STALL + 4


def test_five_hundred_that_never_finish_their_heads_are_let_go(served: Served) -> None:
    sent = []
    for _ in range(500):
        one = socket.create_connection(served.address, timeout=20)
        one.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        sent.append(one)
    assert served.http.get("/healthz").status_code == 200
    time.sleep(STALL + 1)
    assert served.open_sockets() < 20
    close_all(sent)


def test_five_hundred_stalled_bodies_leave_room_for_others(served: Served) -> None:
    before = served.rss()
    sent = [served.begin("POST", "/v1/jobs", length(MIB), b"{" * 60_000) for _ in range(200)]
    seconds = [timed_health(served) for _ in range(20)]
    assert max(seconds) < 1
    assert {answer_of(one)[0] for one in sent} <= {408, 429, 503}
    close_all(sent)
    assert served.rss() - before < 2 * LITTLE
    served.node(5)


def timed_health(served: Served) -> float:
    started = time.monotonic()
    assert served.ask("GET", "/healthz") == 200
    return time.monotonic() - started


def test_garbage_under_blobs_names_is_written_nowhere(served: Served, job_id: str) -> None:
    """Ten parallel uploads: of strangers, of names that nobody expects, of what is here already."""
    before = served.disk()
    known = sha256(MODEL_FILES["model.safetensors"])
    submitter = upload_header(served.domain, job_id, time.time())

    def put(turn: int) -> int:
        target = f"/v1/blobs/{known if turn % 2 else sha256(str(turn).encode())}"
        headers = length(100 * MIB, **(submitter if turn % 4 > 1 else {}))
        with served.begin("PUT", target, headers, bytes(2 * MIB)) as sent:
            return answer_of(sent)[0]

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(put, range(10)))
    assert set(answers) <= {401, 403, 413, 429}
    assert served.disk() - before < 0.1


def test_a_blob_is_received_once_at_a_time_and_from_each_caller_a_few(served: Served, tmp_path: Path) -> None:
    """A submitter's own files: the same one twice, and more at once than a caller may send."""
    files = sharded(6, lambda number: bytes([number]) * MIB)
    data = {name: content for name, content in files.items() if len(content) == MIB}
    refs = {name: FileRef(sha256=sha256(content), size=len(content)) for name, content in files.items()}
    with Served(tmp_path, body_stall_seconds=STALL).running() as own:
        spec = job_spec(model=ModelRef(name="many", files=refs))
        job_id = own.fund(spec)
        view = own.http.post("/v1/jobs", content=SubmitJob(job_id=job_id, spec=spec).model_dump_json())
        assert view.status_code == 200, view.text
        headers = length(MIB, **upload_header(own.domain, job_id, time.time()))
        digests = [sha256(content) for content in data.values()]
        names = [digests[0], digests[0], *digests[1:]]
        sent = [own.begin("PUT", f"/v1/blobs/{digest}", headers, bytes(1000)) for digest in names]
        answers = [answer_of(one)[0] for one in sent]
        close_all(sent)
        assert set(answers[:2]) == {408, 429}, "the same blob is on its way already"
        assert answers.count(408) == 4, "as many as a caller may send at once, and these stalled"
        assert own.disk() < 1
        with Transport(f"http://127.0.0.1:{own.port}") as transport:
            for name, content in files.items():
                path = tmp_path / f"file-{name}"
                path.write_bytes(content)
                transport.put_blob(sha256(content), path, upload_header(own.domain, job_id, time.time()))
        assert own.http.get(f"/v1/jobs/{job_id}").json()["missing_blobs"] == []


def test_readers_that_do_not_read_are_dropped(tmp_path: Path) -> None:
    large = bytes(24 * MIB)
    files = MODEL_FILES | {"model.safetensors": large}
    refs = {name: FileRef(sha256=sha256(content), size=len(content)) for name, content in files.items()}
    with Served(tmp_path, body_stall_seconds=STALL).running() as own:
        spec = job_spec(model=ModelRef(name="large", files=refs))
        job_id = own.fund(spec)
        body = SubmitJob(job_id=job_id, spec=spec).model_dump_json()
        assert own.http.post("/v1/jobs", content=body).status_code == 200
        headers = upload_header(own.domain, job_id, time.time())
        assert own.http.put(f"/v1/blobs/{sha256(large)}", content=large, headers=headers).status_code == 201
        before, idle = own.rss(), own.open_sockets()
        sent = [own.begin("GET", f"/v1/blobs/{sha256(large)}", {}) for _ in range(40)]
        time.sleep(1)
        assert own.open_sockets() - idle == 40
        assert own.rss() - before < 2 * LITTLE
        time.sleep(6 * STALL + 1)
        assert own.open_sockets() - idle <= 0
        close_all(sent)
        assert own.http.get(f"/v1/blobs/{sha256(large)}").content == large


def test_grants_of_the_unregistered_do_not_hold_up_anybody(tmp_path: Path) -> None:
    """400 grants, signed by keys that the chain doesn't know, from as many addresses, while it takes half a second
    for each answer."""
    with Served(tmp_path, pause=0.5, body_stall_seconds=STALL).running() as slow:
        strangers = [Node(slow, 1) for _ in range(40)]
        grants = []
        for stranger in strangers:
            stranger.key = Account.create()
            stranger.worker = stranger.key.address
            grants += [stranger.grant(peer_id=peer(stranger)).model_dump_json() for _ in range(10)]
        counts: dict[int, int] = {}

        def open_session(turn: int) -> None:
            address = {"X-Forwarded-For": f"10.0.{turn // 250}.{turn % 250}"}
            status = slow.ask("POST", "/v1/sessions", address, grants[turn].encode())
            counts[status] = counts.get(status, 0) + 1

        with ThreadPoolExecutor(64) as pool:
            done = [pool.submit(open_session, turn) for turn in range(len(grants))]
            seconds = []
            while not all(one.done() for one in done):
                seconds.append(timed_health(slow))
                time.sleep(0.05)
        assert set(counts) <= {403, 429, 503}
        assert counts[403] > 0
        assert statistics.quantiles(seconds, n=20)[-1] < 0.5
        assert max(seconds) < 2
        slow.node(2)


def peer(node: Node) -> str:
    from r1net.chain import peer_id_of

    return peer_id_of(node.key)


def test_who_is_told_to_wait_waits_and_then_gets_an_answer(tmp_path: Path) -> None:
    with Served(tmp_path, posts_per_minute=60).running() as strict:
        body = SubmitJob(job_id="0x" + "77" * 32, spec=job_spec())
        answers = [strict.http.post("/v1/jobs", content=body.model_dump_json()) for _ in range(25)]
        assert {answer.status_code for answer in answers} == {402, 429}
        turned_away = next(answer for answer in answers if answer.status_code == 429)
        assert int(turned_away.headers["Retry-After"]) >= 1
        with Transport(f"http://127.0.0.1:{strict.port}", patience=20) as transport, pytest.raises(Refused) as caught:
            transport.post("/v1/jobs", body, JobView)
        assert caught.value.code == "unfunded_job"


def test_long_polls_of_one_worker_are_few(served: Served) -> None:
    node = served.node(6)
    body = b'{"capabilities":["train"],"holds":{},"wait":8}'  # of which there is none while groups are missing
    heads = [node.headers("POST", "/v1/work", body) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda head: served.ask("POST", "/v1/work", head, body), heads))
    assert (answers.count(200), answers.count(429)) == (4, 8)

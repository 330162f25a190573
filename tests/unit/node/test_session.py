"""The node's own session against a real server: it signs every request, and opens anew when it must."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net.chain import peer_id_of
from r1net.errors import Refused
from r1net.protocol.canonical import sha256
from r1net.protocol.work import PublishTask, WorkRequest
from r1node.session import LIFETIME, Session
from tests.adversarial.coordinator.served import Served
from tests.unit.coordinator.jobs import file_of, key
from tests.unit.coordinator.network import Node

HUNGRY = WorkRequest(capabilities=("rollout", "train"), wait=0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"), body_stall_seconds=2)
    yield made
    made.stop()


def session(served: Served, number: int) -> Session:
    worker, owner = key(100 + number), key(200 + number).address
    made = Session(served.url, served.domain, owner, worker, peer_id_of(worker), software="test", hardware="")
    made.open(["/ip4/10.0.0.1/tcp/4001"])
    return made


def test_a_whole_job_goes_over_signed_requests(served: Served, tmp_path: Path) -> None:
    """An honest node works through the node's own session; the files of versions are streamed from disk."""
    job_id = served.submit()
    mine, helper = session(served, 3), Node(served, 3)
    deadline = time.monotonic() + 60
    while served.http.get(f"/v1/jobs/{job_id}").json()["state"] == "running":
        assert time.monotonic() < deadline, served.log()
        lease = mine.work(HUNGRY.model_copy(update={"holds": helper.holds})).lease
        if lease is None:
            time.sleep(0.1)
            continue
        assert mine.heartbeat(lease.id).alive
        helper.session_key, helper.session_id = mine._key, mine._id
        if isinstance(lease.task, PublishTask):
            for part in ("policy", "optimizer"):
                path = tmp_path / part
                path.write_bytes(file_of(lease.task.version.number, part))
                mine.transport.put_blob(sha256(path.read_bytes()), path)
            mine.report_published(lease.id)
        else:
            assert helper.do(lease).status_code in (200, 202)
    assert served.http.get(f"/v1/jobs/{job_id}").json()["state"] == "completed"


def test_a_superseded_session_is_opened_anew_and_the_request_sent_again(served: Served, tmp_path: Path) -> None:
    mine, other = session(served, 1), session(served, 1)
    assert mine.work(HUNGRY).lease is None
    assert other.work(HUNGRY).lease is None
    path = tmp_path / "file"
    path.write_bytes(b"content" * 500_000)
    with pytest.raises(Refused) as caught:  # a stream is sent again too: the refusal is that of a session that holds
        mine.transport.put_blob(sha256(path.read_bytes()), path)
    assert caught.value.code == "unexpected_blob"


def test_new_addresses_are_announced_by_a_grant_of_their_own(served: Served) -> None:
    mine = session(served, 2)
    for address in ("/ip4/10.0.0.2/tcp/4001", "/ip4/10.0.0.3/tcp/4001"):
        mine.open([address])
    assert mine.work(HUNGRY).lease is None
    assert 0 < mine._expires - time.time() <= LIFETIME < 86400


def test_a_crowd_of_requests_of_one_worker_all_come_through(served: Served) -> None:
    """More at once than a worker may have: those told to wait wait, and nobody is told of it."""
    mine = session(served, 4)
    troubles: list[BaseException] = []

    def ask() -> None:
        try:
            mine.work(WorkRequest(capabilities=("rollout",), wait=1))
        except Exception as error:  # told to the test
            troubles.append(error)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []

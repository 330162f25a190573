"""Hosts' own part in who reaches whom, over real p2pd daemons and a real coordinator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from r1net.chain import peer_id_of
from r1net.protocol.reach import DialOrder, Reach
from r1net.protocol.work import WorkRequest
from r1node.events import Events
from r1node.reaching import MOST_WAITING, Reaching
from r1node.session import Session
from r1node.swarm.daemon import Swarm
from r1node.swarm.dialling import Doorbell
from tests.adversarial.coordinator.served import Served
from tests.e2e.harness.processes import free_port
from tests.integration.waiting import until
from tests.unit.coordinator.jobs import key

HUNGRY = WorkRequest(capabilities=("rollout", "train"), wait=0)


class Host:
    """A worker with a daemon and a session, and no work."""

    def __init__(self, served: Served, number: int, announce: Sequence[str] = ()) -> None:
        worker, owner = key(100 + number), key(200 + number).address
        self.swarm = Swarm(worker, announce=announce)
        self.swarm.start(Doorbell(served.domain, worker).attach)
        self.session = Session(
            served.url, served.domain, owner, worker, peer_id_of(worker), software="test", hardware=""
        )
        self.reaching = Reaching(self.session, self.swarm, served.domain, Events(as_json=True))
        self.session.open(self.swarm.addresses())

    def ask(self, wait: float = 0) -> Reach:
        found = self.session.work(HUNGRY.model_copy(update={"wait": wait})).reach
        assert found is not None
        self.reaching.heard(found)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    yield made
    made.stop()


@pytest.fixture
def hosts(served: Served) -> Iterator[list[Host]]:
    """The third one announces a port at which nobody is."""
    made = [Host(served, 1), Host(served, 2), Host(served, 3, [f"/ip4/127.0.0.1/tcp/{free_port()}"])]
    yield made
    for host in made:
        host.session.leave()
        host.swarm.stop()


def states(hosts: list[Host]) -> list[str]:
    return [host.ask().state for host in hosts]


def test_two_reach_each_other_and_not_the_third_until_it_announces_where_it_is(
    hosts: list[Host], capsys: pytest.CaptureFixture[str]
) -> None:
    until(lambda: states(hosts) == ["reachable", "reachable", "unreachable"], 60)
    said = capsys.readouterr().out
    assert said.count("reachable: ") >= 3
    assert "unreachable: no peer gets through" in said
    third = hosts[2]
    third.swarm._announce = ()
    assert third.swarm._p2p is not None
    third.swarm._p2p._child.kill()  # it comes back without the wrong address, as a host that was set right would
    until(lambda: third.swarm.restarts, 60)
    third.reaching.announce()
    assert third.session.maddrs == tuple(third.swarm.addresses())
    third.reaching.announce()
    until(lambda: states(hosts) == ["reachable"] * 3, 60)
    assert capsys.readouterr().out.count("announcing") == 1


def test_a_request_that_waits_is_answered_when_there_is_news(hosts: list[Host]) -> None:
    """Nobody waits for the end of a long poll to dial, or to hear that it was reached."""
    first = hosts[0]
    seen = [first.ask(wait=30) for _ in range(2)]
    others = [host.ask(wait=0) for host in hosts[1:]]
    assert seen
    assert others
    until(lambda: states(hosts[:2]) == ["reachable"] * 2, 60)


def test_a_coordinator_that_orders_too_much_is_not_obeyed(hosts: list[Host], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its orders for a whole address range wait in a short line; the rest is forgotten."""
    taken: list[str] = []
    host = hosts[0]
    until(lambda: not host.reaching._waiting, 60)
    monkeypatch.setattr(host.swarm, "submit", lambda work: (taken.append("one"), work.close()))
    peer = hosts[1].swarm.peer_id
    host.reaching.take(
        [
            DialOrder(
                id=str(number),
                worker=key(102).address,
                peer_id=peer,
                maddrs=(f"/ip4/9.9.9.{number}/tcp/1",),
                nonce="0x" + "00" * 32,
            )
            for number in range(100)
        ]
    )
    assert len(taken) == MOST_WAITING

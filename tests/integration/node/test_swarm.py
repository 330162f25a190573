"""Averaging over real p2pd daemons: exact, all or nothing, and back after a daemon dies."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import psutil
import pytest
import torch
from eth_account import Account
from hivemind.p2p import P2P
from torch import Tensor

from r1net.chain import peer_id_of
from r1net.errors import DaemonError, SwarmError
from r1net.protocol.canonical import sha256
from r1node.swarm import daemon
from r1node.swarm.allreduce import AveragingService, ExactAllReduce, average, sections
from r1node.swarm.daemon import Swarm

SIZE = 300_001
"""Values: more than one part for each peer, and not a round number."""


Slot = tuple[str, list[str]]


class Peer:
    """One swarm member."""

    def __init__(self) -> None:
        self.account = Account.create()
        self.swarm = Swarm(self.account)
        self.averaging = AveragingService()
        self.swarm.start(self.averaging.attach)

    @property
    def slot(self) -> Slot:
        return self.swarm.peer_id, self.swarm.addresses()

    def average(self, key: bytes, tensor: Tensor, slots: list[Slot], *committed: Tensor) -> Future[Tensor]:
        """Average a tensor with those that the slots have `committed` to; the same as the own one unless it is said."""
        promised = [sections(one, len(slots)) for one in committed or [tensor] * len(slots)]
        return self.swarm.submit(average(self.swarm, self.averaging, key, tensor, slots, promised))


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    made = [Peer() for _ in range(3)]
    yield made
    for peer in made:
        peer.swarm.stop()


def test_peer_ids_are_the_workers_keys(peers: list[Peer]) -> None:
    assert [peer.swarm.peer_id for peer in peers] == [peer_id_of(peer.account) for peer in peers]


def test_every_replica_gets_the_same_bytes_and_they_are_the_mean(peers: list[Peer]) -> None:
    torch.manual_seed(0)
    slots = [peer.slot for peer in peers]
    for number in range(3):
        tensors = [torch.randn(SIZE) * 10.0 ** torch.randint(-6, 3, (SIZE,)) for _ in peers]
        running = [p.average(bytes([number]) * 32, t, slots, *tensors) for p, t in zip(peers, tensors, strict=True)]
        results = [future.result(60) for future in running]
        assert all(torch.equal(results[0], other) for other in results[1:])
        exact = torch.stack(tensors).double().mean(0)
        largest = torch.stack(tensors).abs().amax(0)
        assert bool(((results[0].double() - exact).abs() <= 1e-6 * largest).all())


def test_a_peer_that_comes_late_is_waited_for(peers: list[Peer]) -> None:
    slots = [peer.slot for peer in peers]
    tensors = [torch.ones(SIZE), torch.ones(SIZE), torch.full((SIZE,), 4.0)]
    early = [peers[n].average(b"l" * 32, tensors[n], slots, *tensors) for n in range(2)]
    time.sleep(2)
    late = peers[2].average(b"l" * 32, tensors[2], slots, *tensors)
    assert all(torch.equal(future.result(60), torch.full((SIZE,), 2.0)) for future in (*early, late))


def test_a_peer_that_dies_ends_the_round_for_everybody(peers: list[Peer]) -> None:
    """No survivor is left with a mixture: each raises, and the survivors average again at once."""
    slots = [peer.slot for peer in peers]
    running = [peer.average(b"d" * 32, torch.ones(SIZE), slots) for peer in peers[:2]]
    time.sleep(1)  # both wait for the third inside the all-reduce
    victim = peers[2].swarm
    assert victim._p2p is not None
    assert victim._p2p._child is not None
    victim._p2p._child.kill()
    for future in running:
        with pytest.raises(SwarmError):
            future.result(60)
    again = [peer.average(b"e" * 32, torch.ones(SIZE), slots[:2]) for peer in peers[:2]]
    assert all(torch.equal(future.result(60), torch.ones(SIZE)) for future in again)


def test_a_stranger_is_not_let_into_a_group(peers: list[Peer]) -> None:
    slots = [peer.slot for peer in peers]
    members = [peer.average(b"s" * 32, torch.ones(SIZE), slots[:2]) for peer in peers[:1]]
    stranger = peers[2].average(b"s" * 32, torch.full((SIZE,), 1e9), [slots[0], slots[2]])
    with pytest.raises(SwarmError):
        stranger.result(60)
    members.append(peers[1].average(b"s" * 32, torch.ones(SIZE), slots[:2]))
    assert all(torch.equal(future.result(60), torch.ones(SIZE)) for future in members)


@pytest.mark.parametrize(
    ("sent", "weight", "words"),
    [
        (2.0, 1.0, "something else than it has committed to"),
        (float("nan"), 1.0, "not finite"),
        (1.0, 1e12, "wants its part to weigh 1e+12"),
        (1.0, 0.0, "wants its part to weigh 0"),
        (1.0, float("nan"), "wants its part to weigh nan"),
    ],
)
def test_what_was_not_committed_to_ends_the_round_and_is_named(
    peers: list[Peer], sent: float, weight: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One changed number in the last part is enough. The honest peers know who sent it; nobody has an average."""
    slots, honest = [peer.slot for peer in peers], torch.ones(SIZE)
    lie = honest.clone()
    lie[-1] = lie[0] = sent
    key = b"c" * 32
    weigh = ExactAllReduce.__init__

    def heavy(self: ExactAllReduce, p2p: P2P, *rest: Any) -> None:
        weigh(self, p2p, *rest)
        if p2p.peer_id.to_base58() == peers[2].swarm.peer_id:
            self.weight = weight

    monkeypatch.setattr(ExactAllReduce, "__init__", heavy)
    running = [peer.average(key, honest, slots) for peer in peers[:2]]
    running.append(peers[2].average(key, lie, slots, honest, honest, honest))
    found = [future.exception(60) for future in running]
    assert [type(error) for error in found] == [SwarmError] * 3, found
    named = [str(error) for error in found[:2] if words in str(error)]
    assert named
    assert all(peers[2].swarm.peer_id in text for text in named)


def test_sections_are_what_reducers_are_sent() -> None:
    """Any change to any number, or another count of reducers, is another commitment."""
    vector = torch.arange(200_003, dtype=torch.float32)
    of = sections(vector, 3)
    for place in (0, 70_000, 200_002):
        other = vector.clone()
        other[place] += 1
        assert sum(a != b for a, b in zip(of, sections(other, 3), strict=True)) == 1
    assert len(set(of)) == 3
    assert sections(vector, 1) == (sha256(vector.numpy().tobytes()),)


def test_a_daemon_that_dies_comes_back_under_the_same_name(peers: list[Peer]) -> None:
    swarm = peers[0].swarm
    before, told = swarm.peer_id, []
    swarm.on_restart = told.append
    assert swarm._p2p is not None
    assert swarm._p2p._child is not None
    swarm._p2p._child.kill()
    deadline = time.monotonic() + 60
    while not told:
        assert time.monotonic() < deadline, "p2pd was not restarted"
        time.sleep(0.1)
    assert swarm.restarts == 1
    assert swarm.peer_id == before
    slots = [peer.slot for peer in peers]
    running = [peer.average(b"r" * 32, torch.ones(SIZE), slots) for peer in peers]
    assert all(torch.equal(future.result(60), torch.ones(SIZE)) for future in running)


def test_a_daemon_that_cannot_start_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "BACKOFF", (0.1,))
    swarm = Swarm(Account.create(), ["/ip4/192.0.2.1/tcp/4001"])  # an address that no machine has (RFC 5737)
    with pytest.raises(DaemonError) as raised:
        swarm.start()
    assert "cannot assign requested address" in raised.value.message
    assert "r1node doctor" in (raised.value.hint or "")
    assert raised.value.exit_code == 3
    gc.collect()  # an unfinished process would warn here, and warnings are errors
    assert [child for child in psutil.Process().children() if child.name().startswith("p2pd")] == []


def test_a_daemon_without_its_handlers_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(p2p: P2P) -> None:
        raise OSError("no handler for you")

    monkeypatch.setattr(daemon, "BACKOFF", (0.1,))
    with pytest.raises(DaemonError, match="no handler for you"):
        Swarm(Account.create()).start(refuse)
    gc.collect()
    assert [child for child in psutil.Process().children() if child.name().startswith("p2pd")] == []

"""Who can be reached is found by others' dialling, and decides who trains with whom: the rows and the rules."""

from __future__ import annotations

import json

import pytest
from httpx import Response

from r1coordinator.scheduling.dials import orders_for
from r1coordinator.scheduling.model import Reached, WorkerState
from r1coordinator.scheduling.reach import DIAL_SECONDS, RENEW_SECONDS, Words, company, judge
from r1net.protocol.addresses import may_dial, network_of
from r1net.protocol.reach import DialOrder, DialReport, Reach
from r1net.protocol.work import Lease, RolloutTask, TrainTask
from tests.unit.coordinator.network import Node, World

PUBLIC = "/ip4/1.2.3.4/tcp/4001"


def reach_of(world: World, node: Node) -> Reach:
    found = {view["worker"]: view["reach"] for view in world.http.get("/v1/nodes").json()}
    return Reach.parse(json.dumps(found[node.worker]))


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Workers whom nobody reaches: whoever dials them says so."""
    found: set[str] = set()
    honest = Node.dial

    def dial(node: Node, order: DialOrder) -> Response:
        if order.worker not in found:
            return honest(node, order)
        return node.say(DialReport(id=order.id, outcome="failed"))

    monkeypatch.setattr(Node, "dial", dial)
    return found


def test_two_fresh_hosts_know_at_once(world: World) -> None:
    """The one that comes second brings orders for both; each is known by its first answer after that."""
    first, second = world.node(1), world.node(2)
    assert first.ask().reach == Reach()
    assert second.ask().reach is not None
    for node in (first, second):
        found = node.ask().reach
        assert found is not None
        assert (found.state, found.peers, found.failed, found.own) == ("reachable", 1, 0, False)
        assert found.maddrs == node.maddrs


def test_a_waiting_request_brings_the_order(world: World) -> None:
    first, second = world.node(1), world.node(2)
    assert [order.worker for order in first.ask().dials] == [second.worker]
    assert first.ask().dials == (), "an order is told once"


def test_an_order_that_is_lost_goes_to_another(world: World) -> None:
    target = world.node(1)
    others = [world.node(n) for n in (2, 3, 4, 5)]
    with world.services.db.write() as s:
        lost = [order for node in others for order in orders_for(s, node.worker) if order.worker == target.worker]
    assert lost
    for node in (target, *others):
        node.ask()
    world.tick(DIAL_SECONDS / 2 + 1)
    for node in (target, *others):
        node.ask()
    world.tick(DIAL_SECONDS / 2 + 1)
    for node in (target, *others):
        node.ask()
    assert reach_of(world, target).state == "reachable"


def test_whom_two_owners_do_not_reach_is_told_so_and_gets_everything_but_training(world: World, deaf: set[str]) -> None:
    nodes = [world.node(n) for n in (1, 2, 3)]
    deaf.add(nodes[0].worker)
    job_id = world.submit()
    kinds: dict[str, set[str]] = {node.worker: set() for node in nodes}
    for _ in range(60):
        for node in nodes:
            lease = node.work()
            if lease is not None:
                kinds[node.worker].add(lease.task.kind)
                if isinstance(lease.task, TrainTask):
                    assert {slot.worker for slot in lease.task.slots} == {n.worker for n in nodes[1:]}
                assert node.do(lease).status_code in (200, 202)
        world.tick(1)
    assert world.job(job_id)["state"] == "completed"
    assert "rollout" in kinds[nodes[0].worker]
    assert "train" not in kinds[nodes[0].worker]
    assert "train" in kinds[nodes[1].worker] & kinds[nodes[2].worker]
    found = nodes[0].ask().reach
    assert found is not None
    assert (found.state, found.peers, found.failed) == ("unreachable", 0, 2)
    assert found.maddrs == ()


def test_one_owners_word_is_not_enough_while_others_can_be_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialler that says no to everybody: the others are asked too, and outweigh it."""
    liar = world.node(9)
    honest = Node.dial

    def lie(node: Node, order: DialOrder) -> Response:
        if node is not liar:
            return honest(node, order)
        return node.say(DialReport(id=order.id, outcome="failed"))

    monkeypatch.setattr(Node, "dial", lie)
    nodes = [world.node(n) for n in (1, 2, 3)]
    for _ in range(6):
        for node in (liar, *nodes):
            node.ask()
        world.tick(1)
    for node in nodes:
        assert reach_of(world, node).state == "reachable"


def test_who_says_no_to_the_only_other_owner_does_not_get_all_the_training(world: World, deaf: set[str]) -> None:
    """Between two owners nobody can tell who lies: they train by turns, by lot."""
    nodes = [world.node(n) for n in (1, 2)]
    deaf.add(nodes[0].worker)
    for _ in range(3):
        for node in nodes:
            node.ask()
    assert [reach_of(world, node).state for node in nodes] == ["unreachable", "reachable"]
    able = [state(node.worker, Reached("unreachable", 1)) for node in nodes[:1]]
    able.append(state(nodes[1].worker, at(PUBLIC)))
    chosen = {company(able, f"job/{number}/1")[0].worker for number in range(32)}
    assert chosen == {node.worker for node in nodes}


def test_workers_of_one_owner_dial_each_other_only_where_nobody_else_is(world: World) -> None:
    first, second = world.node(1, owner=7), world.node(2, owner=7)
    for node in (first, second, first, second):
        node.ask()
    assert reach_of(world, first).own
    world.clock.time += RENEW_SECONDS
    stranger = world.node(3)
    for node in (first, second):
        assert node.open().status_code == 200
        node.dials.clear()
    world.tick(1)
    for node in (stranger, first, second, stranger, first, second):
        node.ask()
    assert {order.worker for node in (first, second) for order in node.dials} == {stranger.worker}
    assert not reach_of(world, first).own


def test_addresses_that_change_are_unproven_and_a_new_session_for_the_same_keeps_what_is_known(world: World) -> None:
    nodes = [world.node(n) for n in (1, 2)]
    for node in (*nodes, *nodes):
        node.ask()
    assert nodes[0].open().status_code == 200
    assert reach_of(world, nodes[0]).state == "reachable"
    proven = nodes[0].maddrs
    nodes[0].maddrs = (*proven, "/ip4/127.0.0.1/tcp/3")
    assert nodes[0].open().status_code == 200
    assert (reach_of(world, nodes[0]).state, reach_of(world, nodes[0]).maddrs) == ("reachable", proven)
    nodes[0].maddrs = ("/ip4/127.0.0.1/tcp/2",)
    assert nodes[0].open().status_code == 200
    assert reach_of(world, nodes[0]).state == "unknown"
    nodes[1].ask()
    assert reach_of(world, nodes[0]).maddrs == nodes[0].maddrs


def test_it_is_looked_at_again_each_hour(world: World) -> None:
    nodes = [world.node(n) for n in (1, 2)]
    for _ in range(2):
        for node in nodes:
            node.ask()
    for waited, dialled in ((RENEW_SECONDS - 2, 1), (2, 2)):
        world.clock.time += waited
        for node in (*nodes, *nodes):
            node.ask()
            world.tick()
        assert [len(node.dials) for node in nodes] == [dialled] * 2


def test_it_is_looked_at_again_soon_after_an_attempt_that_broke(world: World) -> None:
    nodes = [world.node(n) for n in (1, 2)]
    world.submit()
    leases = to_training(world, nodes)
    for _ in range(7):
        world.tick(10)
        for node, lease in zip(nodes, leases, strict=True):
            node.heartbeat(lease)
    assert [len(node.dials) for node in nodes] == [1, 1]
    for node, lease in zip(nodes, leases, strict=True):
        assert node.fail(lease, "averaging_broken").status_code in (200, 409)
    world.tick(1)
    for node in nodes:
        node.ask()
    assert [len(node.dials) for node in nodes] == [2, 2]


def to_training(world: World, nodes: list[Node]) -> list[Lease]:
    while True:
        leases = [lease for node in nodes if (lease := node.work()) is not None]
        if len(leases) == len(nodes) and all(isinstance(lease.task, TrainTask) for lease in leases):
            return leases
        for lease in leases:
            if isinstance(lease.task, RolloutTask):
                next(node for node in nodes if node.worker == lease.worker).submit(lease)


def test_who_announces_only_its_own_network_is_not_reached_from_elsewhere(world: World) -> None:
    """Nobody is made to look around in his own network; who is alone with his addresses is told so at once."""
    far = [Node(world, n) for n in (1, 2, 3)]
    for node, maddrs in zip(far, [(PUBLIC,), ("/ip4/192.168.1.5/tcp/1", "/ip4/127.0.0.1/tcp/1"), ()], strict=True):
        node.maddrs = maddrs
        assert node.open().status_code == 200
    world.tick(1)
    for node in far:
        assert {order.worker for order in node.ask().dials} <= {far[0].worker}
    assert [reach_of(world, node).state for node in far] == ["reachable", "unreachable", "unreachable"]


def state(name: str, reach: Reached, checking: bool = False) -> WorkerState:
    return WorkerState(name, name, (), frozenset({"train"}), {}, 0.0, owner=name, reach=reach, checking=checking)


def at(*maddrs: str) -> Reached:
    return Reached("reachable", 0, maddrs)


def test_trainers_of_one_group_were_reached_in_one_network() -> None:
    here, there = "/ip4/127.0.0.1/tcp/1", "/ip4/10.1.0.1/tcp/1"
    local = [state(name, at(here)) for name in "abc"]
    public = [state(name, at(PUBLIC)) for name in "de"]
    both, lan = state("f", at(PUBLIC, there)), state("g", at(there))

    def names(*able: WorkerState) -> str:
        return "".join(worker.worker for worker in company(able, "seed"))

    assert names(*local, *public) == "de", "many on one machine do not crowd out those whom all can reach"
    assert names(*local, public[0]) == "abc"
    assert names(*public, both, lan) == "def"
    assert names(both, lan) == "fg"
    assert len(names(public[0], local[0])) == 1
    assert names() == ""


def test_one_trains_alone_where_no_two_reach_each_other_and_the_unproven_are_waited_for() -> None:
    fresh, proven = state("a", Reached(), checking=True), state("b", at(PUBLIC))
    assert company([fresh, proven], "s") == ()
    assert company([fresh], "s") == (fresh,)
    assert company([fresh, proven, state("c", at(PUBLIC))], "s") == (proven, state("c", at(PUBLIC))), "not by many"
    condemned = state("d", Reached("unreachable", 2))
    assert {company([condemned, proven], str(seed))[0].worker for seed in range(20)} == {"b"}
    assert company([condemned], "s") == (condemned,)


def test_a_check_asks_until_one_side_leads_by_two_owners() -> None:
    assert Words().wanted == 2
    assert Words(asked=2, given=2).wanted == 0
    assert Words(asked=2, given=1, reached=1).wanted == 0
    assert Words(asked=2, reached=2).wanted == 0
    assert Words(asked=2, reached=1, failed=1).wanted == 2
    assert Words(asked=3, reached=1, failed=1, given=1).wanted == 1
    assert Words(asked=2).wanted == 2, "who says nothing is replaced"
    assert Words(asked=5, reached=1, failed=1).wanted == 0


def test_what_is_thought_by_the_words() -> None:
    assert judge(Words(2, 1, reached=1), "unknown", over=False) == "reachable"
    assert judge(Words(2, 1, failed=1), "unknown", over=False) == "unknown"
    assert judge(Words(2, 1, failed=1), "reachable", over=False) == "reachable"
    assert judge(Words(2, failed=2), "reachable", over=True) == "unreachable"
    assert judge(Words(4, reached=1, failed=3), "reachable", over=True) == "unreachable"
    assert judge(Words(1, failed=1), "reachable", over=True) == "unreachable", "nobody else could be asked"
    assert judge(Words(2), "unknown", over=True) == "unreachable", "silence"
    assert judge(Words(2), "reachable", over=True) == "reachable", "those who were asked are gone"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (PUBLIC, "public"),
        ("/dns4/a.example/tcp/1", "public"),
        ("/ip6/2606:4700::1/tcp/1", "public"),
        ("/ip4/127.9.9.9/tcp/1", "loopback"),
        ("/ip6/::1/tcp/1", "loopback"),
        ("/ip6/::ffff:10.0.0.1/tcp/1", "10.0.0.0/16"),
        ("/ip4/100.64.3.1/tcp/1", "100.64.0.0/16"),
        ("/ip6/fd12:3456:789a:1::1/tcp/1", "fd12:3456:789a::/48"),
        ("/ip4/169.254.169.254/tcp/1", "nowhere"),
        ("/ip6/fe80::1/tcp/1", "nowhere"),
        ("/ip4/224.0.0.1/tcp/1", "nowhere"),
        ("/ip4/255.255.255.255/tcp/1", "nowhere"),
        ("/ip4/0.0.0.0/tcp/1", "nowhere"),
        ("/ip6/64:ff9b::a00:1/tcp/1", "nowhere"),
        ("/ip4/1.2.3.4/tcp/1/p2p/16Uiu2HAmTdCQPQXpZAneMFStM9tmXsEKzEixKrQFnAjfrRi8nTLo/p2p-circuit", "nowhere"),
    ],
)
def test_where_addresses_lead(address: str, network: str) -> None:
    assert network_of(address) == network
    assert may_dial(address, ()) == (network == "public")
    assert may_dial(address, (address,)) == (network != "nowhere")

"""Threat model: who dials and who is dialled both lie. Nobody becomes reachable by a word, a copied proof or another's
key; nobody makes strangers' machines dial a third one at will."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from r1coordinator.scheduling import reach
from r1coordinator.store.tables import DialRow
from r1net.protocol.reach import DialOrder, DialReport
from r1net.protocol.signing import dialled_values
from tests.unit.coordinator.network import KEYS, Node, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.kill()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are kept in hand, for the test to answer."""
    monkeypatch.setattr(Node, "dial", lambda node, order: node.dials.append(order))


def states(world: World) -> dict[str, str]:
    return {view["worker"]: view["reach"]["state"] for view in world.http.get("/v1/nodes").json()}


def reached(node: Node, order: DialOrder, key: str | None = None, **changes: str) -> DialReport:
    """A report, as signed by the worker `key`, else by whom the order names."""
    values = dialled_values(changes.pop("worker", order.worker), changes.pop("nonce", order.nonce))
    proof = node.world.domain.sign(KEYS[key or order.worker], "Dialled", values)
    return DialReport(id=order.id, outcome="reached", maddr=changes.get("maddr", order.maddrs[0]), proof=proof)


@pytest.mark.usefixtures("kept")
def test_no_dialler_makes_anybody_reachable_by_itself(world: World) -> None:
    liar, target = world.node(1), world.node(2)
    liar.ask()
    (order,) = liar.dials
    assert order.worker == target.worker
    forged = [
        reached(liar, order, key=liar.worker),
        reached(liar, order, worker=liar.worker),
        reached(liar, order, nonce="0x" + "11" * 32),
        reached(liar, order).model_copy(update={"proof": "0x" + "00" * 65}),
        reached(liar, order).model_copy(update={"proof": "0x" + "ff" * 65}),
        reached(liar, order, maddr="/ip4/6.6.6.6/tcp/1"),
    ]
    for report in forged:
        answer = liar.say(report)
        assert (answer.status_code, answer.json()["code"]) == (422, "false_proof")
    bare = {"id": order.id, "outcome": "reached", "maddr": order.maddrs[0]}
    assert liar.post(f"/v1/dials/{order.id}", json.dumps(bare)).json()["code"] == "invalid_message"
    assert states(world)[target.worker] == "unknown"
    assert liar.say(reached(liar, order)).status_code == 200, "the order was still open for the truth"
    assert states(world)[target.worker] == "reachable"


@pytest.mark.usefixtures("kept")
def test_a_proof_is_for_one_order_and_one_answer(world: World) -> None:
    dialler, target = world.node(1), world.node(2)
    dialler.ask()
    first = reached(dialler, dialler.dials[0])
    assert dialler.say(first).status_code == 200
    assert dialler.say(first).json()["code"] == "stale_order"
    world.clock.time += reach.RENEW_SECONDS
    for node in (target, dialler):
        node.ask()
        world.tick(1)
    dialler.ask()
    again = dialler.dials[-1]
    assert again.id != first.id
    replayed = first.model_copy(update={"id": again.id})
    assert dialler.say(replayed).json()["code"] == "false_proof"
    assert dialler.say(first.model_copy(update={"id": "0" * 32})).json()["code"] == "unknown_order"


@pytest.mark.usefixtures("kept")
def test_nobody_answers_anothers_order_nor_for_itself(world: World) -> None:
    dialler, target, third = world.node(1), world.node(2), world.node(3)
    dialler.ask()
    order = next(order for order in dialler.dials if order.worker == target.worker)
    for node in (target, third):
        assert node.say(reached(node, order)).json()["code"] == "unknown_order"
    for node in (target, third):
        node.ask()
        assert node.worker not in {order.worker for order in node.dials}, "nobody dials itself"


@pytest.mark.usefixtures("kept")
def test_answers_for_addresses_that_are_announced_no_more_count_for_nothing(world: World) -> None:
    dialler, mover = world.node(1), world.node(2)
    dialler.ask()
    (old,) = dialler.dials
    mover.maddrs = ("/ip4/127.0.0.1/tcp/99",)
    assert mover.open().status_code == 200
    assert dialler.say(reached(dialler, old)).status_code == 200
    assert states(world)[mover.worker] == "unknown"


@pytest.mark.usefixtures("kept")
def test_who_announces_a_victims_address_makes_few_hosts_dial_it(world: World) -> None:
    """It opens one session after the other, each for the victim's address at another port, as fast as it can: the
    hosts of the whole network together dial it a few dozen times an hour, whatever the owner does."""
    hosts = [world.node(n) for n in range(1, 7)]
    for _ in range(3):
        for host in hosts:
            host.ask()
    attackers = [Node(world, 50 + n, owner=50) for n in range(8)]
    for host in hosts:
        host.dials.clear()
    for turn in range(12):
        for attacker in attackers:
            attacker.maddrs = tuple(f"/ip4/9.9.9.9/tcp/{1000 + 32 * turn + n}" for n in range(32))
            assert attacker.open().status_code == 200
        for host in hosts:
            host.ask()
        world.tick(20)
    orders = [order for host in hosts for order in host.dials if order.maddrs[0].startswith("/ip4/9.9.9.9/")]
    assert 0 < len(orders) <= reach.PER_OWNER
    assert max(len(order.maddrs) for order in orders) <= 4
    assert "reachable" not in {states(world)[attacker.worker] for attacker in attackers}


@pytest.mark.usefixtures("kept")
def test_nobody_is_told_to_look_around_in_a_private_network(world: World) -> None:
    """A host that announces a public address and its own loopback; a stranger announces all kinds of inner ones."""
    host, stranger = Node(world, 1), Node(world, 2)
    host.maddrs = ("/ip4/1.2.3.4/tcp/4001",)
    stranger.maddrs = (
        "/ip4/127.0.0.1/tcp/22",
        "/ip4/192.168.1.1/tcp/80",
        "/ip4/169.254.169.254/tcp/80",
        "/ip6/::1/tcp/22",
        "/ip6/::ffff:7f00:1/tcp/22",
        "/ip4/8.8.8.8/tcp/4001",
    )
    for node in (host, stranger):
        assert node.open().status_code == 200
    host.ask()
    assert [order.maddrs for order in host.dials] == [("/ip4/8.8.8.8/tcp/4001",)]


@pytest.mark.usefixtures("kept")
def test_two_workers_of_a_liar_count_as_one_word(world: World) -> None:
    """Seven workers of one owner say no; each check hears that owner once, and the honest ones outweigh it."""
    target = world.node(1)
    liars = [world.node(10 + n, owner=9) for n in range(7)]
    honest = [world.node(20 + n) for n in range(4)]
    for _ in range(12):
        for node in (*liars, *honest, target):
            node.ask()
            for order in node.dials:
                lie = node in liars and order.worker == target.worker
                node.say(DialReport(id=order.id, outcome="failed") if lie else reached(node, order))
            node.dials.clear()
        world.tick(5)
    view = next(view for view in world.http.get("/v1/nodes").json() if view["worker"] == target.worker)
    assert view["reach"]["state"] == "reachable"
    assert view["reach"]["failed"] <= 1


def test_who_uses_up_its_orders_keeps_no_good_name_by_that(world: World) -> None:
    """One worker was reached and is cut off since; another of its owner announces address after address, so that no
    order is left for the first one's next check."""
    hosts = [world.node(n) for n in (1, 2, 3)]
    cut, busy = world.node(50, owner=50), world.node(51, owner=50)
    everybody = [*hosts, cut, busy]
    for _ in range(2):
        for node in everybody:
            node.ask()
    assert states(world)[cut.worker] == "reachable"
    world.clock.time += reach.RENEW_SECONDS - 60
    for turn in range(reach.PER_OWNER // 2):
        busy.maddrs = (f"/ip4/127.0.0.1/tcp/{1000 + turn}",)
        assert busy.open().status_code == 200
        for node in everybody:
            node.ask()
    with world.services.db.write() as s:  # the first ones, too, were given within the hour
        s.execute(update(DialRow).where(DialRow.owner == cut.owner).values(given_at=world.clock()))
    for _ in range(int(reach.RETRY_SECONDS // 20) + 5):
        world.tick(20)
        for node in everybody:
            node.ask()
    assert states(world)[cut.worker] == "unknown"
    assert {states(world)[node.worker] for node in hosts} == {"reachable"}

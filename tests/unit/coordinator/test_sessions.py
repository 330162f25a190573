"""Who may speak: grants against the registry, signed requests, clocks and replays."""

from __future__ import annotations

import pytest

from r1net.errors import ChainUnavailable
from r1net.protocol.canonical import sha256
from r1net.protocol.session import content_digest, maddrs_digest
from tests.unit.coordinator.jobs import key
from tests.unit.coordinator.network import Node, World

WORK = '{"capabilities":["rollout"],"wait":0}'


def test_a_grant_must_be_signed_by_its_worker(world: World) -> None:
    node = Node(world, 1)
    forged = node.grant().model_copy(update={"signature": Node(world, 2).grant().signature})
    assert node.open(forged).json()["code"] == "bad_signature_grant"
    assert node.open(node.grant(worker=key(9).address)).json()["code"] == "bad_signature_grant"


def test_the_peer_id_must_be_the_worker_keys(world: World) -> None:
    node = Node(world, 1)
    stranger = Node(world, 2).grant().grant.peer_id
    assert node.open(node.grant(peer_id=stranger)).json()["code"] == "wrong_peer_id"
    many = node.grant().model_copy(update={"maddrs": ("/ip4/1.2.3.4/tcp/1",) * 33})
    assert node.open(many).json()["code"] == "bad_address"
    for address in ("garbage", "/unix/run/docker.sock", "/ip4/1.2.3.4/tcp/1/p2p/" + stranger):
        assert node.open(node.grant().model_copy(update={"maddrs": (address,)})).json()["code"] == "bad_address"


def test_the_registry_must_know_worker_and_owner(world: World) -> None:
    node = Node(world, 1)
    assert node.open(node.grant(owner=key(8).address)).json()["code"] == "not_bound"
    world.chain.inactive.add(node.owner)
    assert node.open().json()["code"] == "inactive_owner"
    world.chain.inactive.clear()
    del world.chain.owners[node.worker]
    assert (node.open().status_code, node.open().json()["code"]) == (403, "not_bound")


def test_a_grant_is_for_these_addresses_and_opens_one_session(world: World) -> None:
    node = Node(world, 1)
    grant = node.grant()
    moved = grant.model_copy(update={"maddrs": ("/ip4/6.6.6.6/tcp/1",)})
    assert node.open(moved).json()["code"] == "wrong_maddrs"
    forged = moved.model_copy(
        update={"grant": moved.grant.model_copy(update={"maddrs": maddrs_digest(moved.maddrs)})},
    )
    assert node.open(forged).json()["code"] == "bad_signature_grant"
    assert node.open(grant).status_code == 200
    again = node.open(grant)
    assert (again.status_code, again.json()["code"]) == (409, "replayed_grant")
    assert node.post("/v1/work", WORK).status_code == 200
    world.tick(86390)
    assert node.open(grant).json()["code"] == "replayed_grant"
    world.tick(20)
    assert node.open(grant).json()["code"] == "bad_expiry"


@pytest.mark.parametrize("expires", [-1, 0, 86402])
def test_a_grant_must_not_be_over_nor_last_for_ever(world: World, expires: int) -> None:
    node = Node(world, 1)
    assert node.open(node.grant(expires=max(0, int(world.clock()) + expires))).json()["code"] == "bad_expiry"


def test_a_chain_that_is_away_is_a_passing_trouble(world: World) -> None:
    world.chain.away = True
    answer = Node(world, 1).open()
    assert (answer.status_code, answer.json()["code"]) == (503, ChainUnavailable.code)


def test_several_workers_of_one_owner_work_side_by_side(world: World) -> None:
    nodes = [world.node(1, owner=7), world.node(2, owner=7)]
    assert len({node.session_id for node in nodes}) == 2
    assert {view["owner"] for view in world.http.get("/v1/nodes").json()} == {key(207).address}


def test_a_request_counts_once_and_only_near_its_time(world: World) -> None:
    node = world.node(1)
    assert node.post("/v1/work", WORK, nonce="n1").status_code == 200
    assert node.post("/v1/work", WORK, nonce="n1").json()["code"] == "replayed"
    for skew in (-61.0, 61.0):
        assert node.post("/v1/work", WORK, stamp=repr(world.clock() + skew)).json()["code"] == "clock_skew"
    for stamp in ("nan", "soon", "inf"):
        assert node.post("/v1/work", WORK, stamp=stamp).json()["code"] == "clock_skew"
    assert node.post("/v1/work", WORK, stamp=repr(world.clock() + 59.0)).status_code == 200


def test_a_nonce_is_remembered_for_as_long_as_its_request_could_be_replayed(world: World) -> None:
    node = world.node(1)
    stamp = repr(world.clock() + 59.0)
    assert node.post("/v1/work", WORK, nonce="n", stamp=stamp).status_code == 200
    world.tick(115)
    assert node.post("/v1/work", WORK, nonce="n", stamp=stamp).json()["code"] == "replayed"


def test_a_signature_covers_path_body_and_session(world: World) -> None:
    node, other = world.node(1), world.node(2)
    headers = node.headers("POST", "/v1/work", WORK.encode())
    other_digest = {"Content-Digest": content_digest(sha256(b"{}"))}
    changed = world.http.post("/v1/work", content=WORK, headers=headers | other_digest)
    elsewhere = world.http.post("/v1/work?x=1", content=WORK, headers=headers)
    stolen = world.http.post("/v1/work", content=WORK, headers=headers | {"R1-Session": other.session_id})
    assert {answer.json()["code"] for answer in (changed, elsewhere, stolen)} == {"bad_request_signature"}
    body = world.http.post("/v1/work", content=WORK.replace("0", "1"), headers=headers)
    assert (body.status_code, body.json()["code"]) == (400, "wrong_digest")
    assert world.http.post("/v1/work", content=WORK).json()["code"] == "not_signed"
    no_digest = world.http.post("/v1/work", content=WORK, headers=headers | {"Content-Digest": "md5=:AA==:"})
    assert no_digest.json()["code"] == "not_signed"
    garbage = world.http.post("/v1/work", content=WORK, headers=headers | {"R1-Signature": "!"})
    assert garbage.json()["code"] == "bad_request_signature"
    unknown = world.http.post("/v1/work", content=WORK, headers=headers | {"R1-Session": "0"})
    assert unknown.json()["code"] == "unknown_session"


def test_sessions_end(world: World) -> None:
    node = world.node(1)
    old = node.session_id
    node.open()
    fresh, node.session_id = node.session_id, old
    assert node.post("/v1/work", WORK).json()["code"] in ("session_superseded", "bad_request_signature")
    node.session_id = fresh
    assert node.post("/v1/work", WORK).status_code == 200
    world.clock.time += 86401
    assert node.post("/v1/work", WORK).json()["code"] == "session_expired"
    world.tick()
    assert node.post("/v1/work", WORK).json()["code"] == "session_expired"
    world.tick(86401)
    assert node.post("/v1/work", WORK).json()["code"] == "unknown_session"


def test_nodes_are_active_late_or_lost(world: World) -> None:
    world.node(1)
    states = []
    for seconds in (0, 16, 20):
        world.tick(seconds)
        states.append(world.http.get("/v1/nodes").json()[0]["state"])
    assert states == ["active", "late", "lost"]


def test_who_leaves_is_gone_at_once_and_may_come_back(world: World) -> None:
    """What it held is free for others without a wait, and it is no worse for it than for a task that it lets lapse."""
    world.submit()
    leaver, other = world.node(1), world.node(2)
    held = leaver.work("rollout")
    assert held is not None
    assert leaver.post("/v1/leave").status_code == 204
    states = {view["worker"]: view["state"] for view in world.http.get("/v1/nodes").json()}
    assert states == {leaver.worker: "lost", other.worker: "active"}
    assert leaver.heartbeat(held)["alive"] is False
    taken = other.work("rollout")
    assert taken is not None
    assert set(held.task.groups) <= set(taken.task.groups)  # type: ignore[union-attr]
    assert leaver.submit(held).status_code == 409
    world.node(1)
    states = {view["worker"]: view["state"] for view in world.http.get("/v1/nodes").json()}
    assert states[leaver.worker] == "active"


def test_nobody_leaves_for_another(world: World) -> None:
    node = world.node(1)
    assert world.http.post("/v1/leave").status_code == 401
    (view,) = world.http.get("/v1/nodes").json()
    assert (view["worker"], view["state"]) == (node.worker, "active")

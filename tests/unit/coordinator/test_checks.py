"""Sampled replay over HTTP: the draw, who may vote, what votes come to, and who answers for them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from r1coordinator.scheduling.checks import disputable
from r1coordinator.scheduling.votes import PATIENCE, Voter, outcome, rate_for, wanted
from r1coordinator.settlement.close import close_due
from r1coordinator.store.rows import get_job
from r1coordinator.store.tables import BundleRow, ContributionRow, DueRow
from r1coordinator.verification import draw
from r1coordinator.verification.draw import draw_checks, tampered
from r1net.draws import is_drawn, positions, rank, seed
from r1net.protocol.canonical import sha256
from r1net.protocol.evidence import Finding
from r1net.protocol.job import Prices, Verification
from r1net.protocol.settlement import JobEpoch
from r1net.protocol.signing import submission_values
from r1net.protocol.trace import SignedTrace, TraceBundle
from r1net.protocol.work import Lease, RolloutTask, VerifyTask, Vote, VoteCommitment
from tests.unit.coordinator.jobs import job_spec
from tests.unit.coordinator.network import Node, World

NO_EVALUATION = job_spec().evaluation.model_copy(update={"problems": 0})
CHECKED = job_spec(verification=Verification(rate=1, training_rate=1), evaluation=NO_EVALUATION)


@pytest.fixture(autouse=True)
def no_plants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "plant_rate", lambda *_: 0.0)


def turn(world: World, seconds: float = 0.0) -> None:
    """A block is mined, and the coordinator draws."""
    world.clock.time += seconds
    services = world.services
    for _ in range(2):  # the first names the block, the second knows it
        draw_checks(services.db, services.ctx, world.chain, services.blobs, world.clock)
        world.chain.mine()
    draw_checks(services.db, services.ctx, world.chain, services.blobs, world.clock)


def vote(world: World, lease: Lease, *faults: str) -> Vote:
    """What a verifier says of its lease's work."""
    assert isinstance(lease.task, VerifyTask)
    bundle = TraceBundle.parse(world.services.blobs.get(lease.task.bundle))
    named = ("mean_abs_delta", "mean_delta", "max_abs_delta", "noise", "drawn", "mean_miss", "usual_noise")
    zeros: dict[str, Any] = dict.fromkeys((*named, "usual_miss"), 0.0)
    count = len(lease.task.positions)
    finding = Finding(worker=bundle.traces[0].worker, traces=count, tokens=count, **zeros, faults=faults)
    bad = lease.task.positions if faults else ()
    return Vote(job_id=lease.job_id, lease_id=lease.id, task=lease.task.digest(), finding=finding, bad=bad)


def cast(node: Node, lease: Lease, said: Vote) -> None:
    """Commit and reveal."""
    salt = "0x" + secrets.token_hex(32)
    commitment = VoteCommitment(lease_id=lease.id, commitment=said.commitment(salt))
    assert node.post(f"/v1/leases/{lease.id}/commitment", commitment.model_dump_json()).status_code == 200
    answer = node.post(f"/v1/leases/{lease.id}/vote", node.shown(said, salt))
    assert answer.status_code == 200, answer.text


def earned(world: World, owner: str) -> int:
    """Tokens that an owner is to be paid for."""
    with world.services.db.read() as s:
        return sum(s.scalars(select(ContributionRow.tokens).where(ContributionRow.account == owner)))


def bundle_of(world: World, job_id: str) -> str:
    """The only submission's blob."""
    with world.services.db.read() as s:
        return s.scalars(select(BundleRow.sha256).where(BundleRow.job_id == job_id)).one()


def roll_out(node: Node) -> Lease:
    """Do one rollout lease."""
    lease = node.work("rollout")
    assert lease is not None
    assert isinstance(lease.task, RolloutTask)
    assert node.submit(lease).status_code == 200
    return lease


def verifying(nodes: Sequence[Node]) -> tuple[Node, Lease]:
    """Whoever of the nodes is asked to vote."""
    for node in nodes:
        lease = node.work("verify")
        if lease is not None:
            assert isinstance(lease.task, VerifyTask)
            return node, lease
    raise AssertionError("nobody is asked")


def checks(world: World, job_id: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = world.http.get(f"/v1/jobs/{job_id}/checks").json()
    return answer


def all_rolled_out(world: World) -> tuple[str, Node, list[Node]]:
    """A job whose round was made by one node, with three others that may vote."""
    job_id = world.submit(CHECKED)
    author = world.node(1)
    roll_out(author)
    return job_id, author, [world.node(number) for number in (2, 3, 4)]


def test_a_round_waits_until_its_draw_and_its_votes_are_in(world: World) -> None:
    job_id, _, others = all_rolled_out(world)
    assert world.job(job_id)["phase"] == "rollout"
    assert checks(world, job_id)[0]["state"] == "waiting"
    turn(world)
    (open_,) = checks(world, job_id)
    assert (open_["state"], open_["block"], len(open_["positions"])) == ("open", 2, 8)
    assert world.http.get(f"/v1/jobs/{job_id}/traces").json() == []  # nobody can look up what is planted
    node, lease = verifying(others)
    cast(node, lease, vote(world, lease))
    (held,) = checks(world, job_id)
    assert (held["state"], held["votes"][0]["worker"]) == ("holds", node.worker)
    assert world.job(job_id)["phase"] == "train"
    assert len(world.http.get(f"/v1/jobs/{job_id}/traces").json()) == 8


def test_anyone_can_repeat_the_draw(world: World) -> None:
    job_id = world.submit(job_spec(verification=Verification(rate=0.5, traces=3), evaluation=NO_EVALUATION))
    nodes = [world.node(number) for number in range(1, 5)]
    for node, lease in [(node, node.work("rollout")) for node in nodes]:
        assert lease is not None
        assert node.submit(lease).status_code == 200
    turn(world)
    assert len(checks(world, job_id)) == 4
    for row in checks(world, job_id):
        drawn_by = seed(world.chain.block_hash(row["block"]), row["traces_root"])
        assert row["seed"] == drawn_by
        assert row["state"] == ("open" if is_drawn(drawn_by, row["rate"]) else "spared")
        if row["state"] == "open":
            assert row["positions"] == list(positions(drawn_by, row["count"], 3))


def test_the_author_and_its_owner_never_vote(world: World) -> None:
    job_id = world.submit(CHECKED)
    roll_out(world.node(1))
    sibling = world.node(9, owner=1)
    turn(world)
    for seconds in (0, 3600):
        turn(world, seconds)
        assert sibling.open().status_code == 200
        assert sibling.work("verify") is None
    assert checks(world, job_id)[0]["state"] == "open"
    assert "hosts of other owners" in world.job(job_id)["error"]
    stranger = world.node(2)
    _, lease = verifying([stranger])
    cast(stranger, lease, vote(world, lease))
    assert world.job(job_id)["error"] is None


def test_one_accusation_asks_a_second_owner_and_two_convict(world: World) -> None:
    job_id, author, others = all_rolled_out(world)
    turn(world)
    first, lease = verifying(others)
    cast(first, lease, vote(world, lease, "nonsense"))
    (accused,) = checks(world, job_id)
    assert (accused["state"], accused["votes"]) == ("open", [])  # nobody sees a vote before the others have voted
    assert first.work("verify") is None
    second, lease = verifying([node for node in others if node is not first])
    cast(second, lease, vote(world, lease, "nonsense"))
    (failed,) = checks(world, job_id)
    assert (failed["state"], len(failed["votes"])) == ("failed", 2)
    assert world.job(job_id)["phase"] == "rollout"
    assert world.job(job_id)["traces_accepted"] == 0
    assert earned(world, author.owner) == 0
    assert earned(world, first.owner) == earned(world, second.owner) > 0
    redone = others[-1].work("rollout")
    assert redone is not None
    assert redone.task.groups == (0, 1, 2, 3)  # type: ignore[union-attr]
    assert author.work("rollout") is None


def test_whoever_was_found_to_cheat_is_not_paid_for_what_it_had_in_hand_either(world: World) -> None:
    job_id = world.submit(CHECKED)
    nodes = [world.node(number) for number in (1, 2, 3, 4)]
    author, other = nodes[:2]
    leases = [node.work("rollout") for node in (author, other)]
    for node, lease in zip((author, other), leases, strict=True):
        assert lease is not None
        assert node.submit(lease).status_code == 200
    turn(world)
    _, in_hand = verifying([author])
    for _ in range(2):
        judge, lease = verifying(nodes[2:])
        cast(judge, lease, vote(world, lease, "nonsense"))
    assert [check["state"] for check in checks(world, job_id)] == ["failed", "open"]
    cast(author, in_hand, vote(world, in_hand))
    assert earned(world, author.owner) > 0
    with world.services.db.write() as s:
        due = close_due(s, get_job(s, job_id), world.clock())
        assert due is not None
        part = JobEpoch.parse(s.get_one(DueRow, due).part)
    paid = {reward.account for reward in part.rewards}
    assert author.owner not in paid
    assert {other.owner, nodes[2].owner} <= paid


def test_whoever_is_at_work_keeps_its_place_in_the_order(world: World) -> None:
    """Hosts that do nothing but wait for votes would decide about most work otherwise."""
    job_id, _, others = all_rolled_out(world)
    world.submit(CHECKED, number=2)
    *busy, idle = others
    assert all(node.work("rollout", "verify") is not None for node in busy)
    turn(world)
    drawn = checks(world, job_id)[0]["seed"]
    before = [node for node in busy if rank(drawn, node.worker) < rank(drawn, idle.worker)]
    assert before, "it isn't the first by chance"
    for _ in before:
        assert idle.work("verify") is None
        world.clock.time += PATIENCE
    assert idle.work("verify") is not None


def test_what_failed_can_still_be_shown_to_jurors(world: World) -> None:
    job_id, author, others = all_rolled_out(world)
    turn(world)
    node, lease = verifying(others)
    assert isinstance(lease.task, VerifyTask)
    digest = TraceBundle.parse(world.services.blobs.get(lease.task.bundle)).traces[3].digest()
    cast(node, lease, vote(world, lease, "nonsense"))
    other, lease = verifying([found for found in others if found is not node])
    cast(other, lease, vote(world, lease, "nonsense"))
    shown = world.http.get(f"/v1/jobs/{job_id}/traces/{digest}/submission").json()
    assert (shown["worker"], shown["position"]) == (author.worker, 3)


def test_a_false_accusation_is_outvoted_and_answered_for(world: World) -> None:
    job_id, author, others = all_rolled_out(world)
    turn(world)
    liar, lease = verifying(others)
    cast(liar, lease, vote(world, lease, "I say so"))
    for _ in range(2):
        left = [node for node in others if node is not liar]
        node, lease = verifying(left)
        cast(node, lease, vote(world, lease))
    assert checks(world, job_id)[0]["state"] == "holds"
    assert earned(world, liar.owner) == 0
    assert earned(world, author.owner) > 0
    assert "false_vote" in world.http.get("/v1/nodes").text


def test_an_accusation_that_nobody_confirms_is_neither_paid_nor_punished(world: World) -> None:
    job_id = world.submit(CHECKED)
    author, only = world.node(1), world.node(2)
    roll_out(author)
    turn(world)
    _, lease = verifying([only])
    cast(only, lease, vote(world, lease, "nonsense"))
    turn(world)
    assert checks(world, job_id)[0]["state"] == "open"
    world.clock.time += 61
    world.node(8, owner=1)
    world.node(9, owner=2)  # further hosts of the two are nobody else
    turn(world)
    assert checks(world, job_id)[0]["state"] == "dropped", "there is nobody who could confirm it"
    assert earned(world, author.owner) == earned(world, only.owner) == 0
    assert "failed_check" not in world.http.get("/v1/nodes").text


def test_an_accuser_can_not_choose_the_moment_when_nobody_else_is_heard(world: World) -> None:
    """Work is given up early only where a whole minute has passed without a third owner's host."""
    job_id, author, others = all_rolled_out(world)
    turn(world)
    accuser, lease = verifying(others)
    cast(accuser, lease, vote(world, lease, "nonsense"))
    honest = [node for node in others if node is not accuser]
    for _ in range(12):
        turn(world, 45)
        assert honest[0].open().status_code == 200
        assert checks(world, job_id)[0]["state"] == "open"
    assert honest[1].open().status_code == 200
    for node in honest:
        _, lease = verifying([node])
        cast(node, lease, vote(world, lease))
    assert checks(world, job_id)[0]["state"] == "holds"
    assert earned(world, author.owner) > 0


def test_whoever_misses_a_planted_cheat_answers_for_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "plant_rate", lambda *_: 1.0)
    job_id, _, others = all_rolled_out(world)
    turn(world)
    node, honest = verifying(others)
    lazy, lease = verifying([found for found in others if found is not node])
    assert isinstance(honest.task, VerifyTask)
    assert isinstance(lease.task, VerifyTask)
    assert (honest.task.bundle == bundle_of(world, job_id), lease.task.bundle != honest.task.bundle) == (True, True)
    cast(lazy, lease, vote(world, lease))  # looks at nothing
    planted = next(row for row in checks(world, job_id) if row["planted"])
    (mistaken,) = world.http.get(f"/v1/jobs/{job_id}/checks?mistaken=true").json()
    assert mistaken == planted
    with world.services.db.read() as s:
        assert disputable(s, job_id) == [0, 1], "a court needs the version that the vote is about"
    digest = planted["votes"][0]["vote_digest"]
    signed = SignedTrace.model_validate(world.http.get(f"/v1/jobs/{job_id}/traces/{digest}/submission").json())
    values = submission_values(signed.lease_id, signed.traces_root, 1)
    assert world.domain.signer("Submission", values, signed.signature) == signed.worker == lazy.worker
    shown = Vote.parse(world.services.blobs.get(digest))
    assert (shown.root(), VerifyTask.parse(world.services.blobs.get(shown.task))) == (signed.traces_root, lease.task)
    assert (planted["state"], planted["votes"][0]["owner"]) == ("holds", lazy.owner)
    assert earned(world, lazy.owner) == 0
    assert "missed_plant" in world.http.get("/v1/nodes").text
    cast(node, honest, vote(world, honest))
    assert world.job(job_id)["phase"] == "train"
    assert earned(world, node.owner) > 0


def test_who_saw_the_original_is_asked_last_about_the_planted_copy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "plant_rate", lambda *_: 1.0)
    _, _, others = all_rolled_out(world)
    assert [other.work("verify") for other in others] == [None, None, None], "nothing is drawn, but all are heard"
    turn(world)
    node, lease = verifying(others)
    cast(node, lease, vote(world, lease))
    assert node.work("verify") is None
    world.clock.time += 2 * PATIENCE
    assert all(other.open().status_code == 200 for other in others)
    assert node.work("verify") is not None, "in a small network it is asked in the end"


def test_what_a_blind_verifier_cleared_is_open_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = world.submit(CHECKED)
    authors = [world.node(number) for number in (1, 2)]
    first, second = (node.work("rollout") for node in authors)
    assert first is not None
    assert second is not None
    assert authors[0].submit(first).status_code == 200
    turn(world)
    blind = world.node(3)
    _, lease = verifying([blind])
    cast(blind, lease, vote(world, lease))
    assert (checks(world, job_id)[0]["state"], earned(world, blind.owner) > 0) == ("holds", True)
    monkeypatch.setattr(draw, "FEWEST_TAMPERED", 1)
    assert draw.plant(world.services.db, world.services.blobs, 1, world.clock())
    _, lease = verifying([blind])
    cast(blind, lease, vote(world, lease))
    assert (checks(world, job_id)[0]["state"], earned(world, blind.owner)) == ("open", 0)


def test_a_vote_must_be_what_was_committed_to(world: World) -> None:
    _, _, others = all_rolled_out(world)
    turn(world)
    node, lease = verifying(others)
    said, salt = vote(world, lease), "0x" + "01" * 32
    body = node.shown(said, salt)
    assert node.post(f"/v1/leases/{lease.id}/vote", body).json()["code"] == "wrong_reveal"
    commitment = VoteCommitment(lease_id=lease.id, commitment=vote(world, lease, "x").commitment(salt))
    assert node.post(f"/v1/leases/{lease.id}/commitment", commitment.model_dump_json()).status_code == 200
    assert node.post(f"/v1/leases/{lease.id}/vote", body).json()["code"] == "wrong_reveal"
    other = VoteCommitment(lease_id=lease.id, commitment=said.commitment(salt))
    assert node.post(f"/v1/leases/{lease.id}/commitment", other.model_dump_json()).json()["code"] == "committed"
    for change in ({"lease_id": "x"}, {"job_id": "0x" + "12" * 32}, {"task": "0x" + "12" * 32}):
        foreign = node.shown(said.model_copy(update=change), salt)
        assert node.post(f"/v1/leases/{lease.id}/vote", foreign).status_code == 422
    unsigned = others[0] if others[0] is not node else others[1]
    answer = node.post(f"/v1/leases/{lease.id}/vote", unsigned.shown(said, salt))
    assert answer.json()["code"] == "bad_signature"


def test_a_tampered_copy_differs_where_it_is_looked_at(world: World) -> None:
    job_id, _, _ = all_rolled_out(world)
    bundle = TraceBundle.parse(world.services.blobs.get(bundle_of(world, job_id)))
    copy = tampered(bundle, (1, 4), frozenset(CHECKED.stop_token_ids))
    changed = [n for n, (a, b) in enumerate(zip(bundle.traces, copy.traces, strict=True)) if a != b]
    assert changed == [1, 4]
    for n in changed:
        pairs = zip(bundle.traces[n].completion_ids, copy.traces[n].completion_ids, strict=True)
        assert sum(a != b for a, b in pairs) == 1


votes = st.lists(st.builds(Voter, st.sampled_from("abcde"), st.booleans()), max_size=9)


@given(votes, st.floats(0, 1e6), st.booleans())
def test_rules_of_votes(cast: list[Voter], waited: float, alone: bool) -> None:
    found = outcome(cast, waited, alone=alone)
    assert found == outcome(cast, waited) or (found, alone) == ("dropped", True), (
        "being alone convicts and clears nobody"
    )
    first = {vote.owner: vote.holds for vote in reversed(cast)}
    accusing = sum(not holds for holds in first.values())
    assert found != "failed" or accusing >= 2 > 1 * (len(first) - accusing > accusing)
    assert found != "holds" or len(first) - accusing > accusing
    assert wanted(cast) > len(first) or found != "open"  # never open with nobody to ask


@given(st.floats(0, 1), st.integers(0, 100), st.floats(0, 100))
def test_rates(base: float, held: int, points: float) -> None:
    rate = rate_for(base, held, points)
    assert (rate == 0) == (base == 0)
    assert base <= rate <= 1
    assert rate_for(base, held + 1, points) <= rate
    assert rate_for(base, held, points + 1) >= rate


def test_the_share_that_is_drawn_is_the_rate() -> None:
    seeds = [seed(sha256(str(n).encode()), sha256(b"root")) for n in range(20_000)]
    for rate in (0.0, 0.03, 0.5, 1.0):
        share = sum(is_drawn(one, rate) for one in seeds) / len(seeds)
        assert share == pytest.approx(rate, abs=0.012)


def test_what_is_worth_more_than_a_lie_costs_is_always_drawn(world: World) -> None:
    """By the stake that the chain puts at risk: the draw follows from the pay."""
    prices = Prices(rollout_token=10**18)
    for number, (risk, least) in enumerate(((10**30, 0.0), (10**18, 0.9)), start=1):
        world.services.ctx.risk.wei = risk
        changes = {"evaluation": NO_EVALUATION, "prices": prices, "budget": 10**20}
        spec = job_spec(verification=Verification(rate=0.001), **changes)
        job_id = world.submit(spec, number)
        roll_out(world.node(number))
        (check,) = checks(world, job_id)
        assert check["rate"] >= least
        assert (check["rate"] > 0.01) == (least > 0)
        world.services.ctx.risk.wei = 0

"""Pricing, reports, and the way of an epoch to the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.settlement.report import report_text
from r1coordinator.settlement.sender import Settler
from r1net.protocol.canonical import sha256
from r1net.protocol.job import Grpo, Prices
from r1net.protocol.merkle import proved_root, verify
from r1net.protocol.pricing import Work, asked, price
from r1net.protocol.settlement import (
    NO_ROOT,
    REWARD_LEAF,
    EpochReport,
    JobEpoch,
    reward_tree,
    rewards_of,
    rewards_root,
)
from r1net.protocol.trace import trace_tree
from tests.unit.coordinator.jobs import TOKEN, job_spec, key
from tests.unit.coordinator.network import World, run

works = st.lists(st.builds(Work, st.sampled_from(["rollout", "training"]), st.integers(0, 10**9)), max_size=30)
wei = st.integers(0, 2**128)
prices = st.builds(Prices, rollout_token=st.integers(0, 10**24), trained_token=st.integers(0, 10**24))
ACCOUNTS = [key(n).address for n in range(4)]
pay = st.lists(st.tuples(st.sampled_from([*ACCOUNTS, ACCOUNTS[0].lower()]), wei), max_size=20)


@given(works, prices, wei)
def test_nobody_is_paid_more_than_asked_nor_all_more_than_there_is(
    given_works: list[Work], listed: Prices, available: int
) -> None:
    paid = price(given_works, listed, available)
    assert sum(paid) <= available
    assert all(0 <= amount <= asked(work, listed) for amount, work in zip(paid, given_works, strict=True))
    total = sum(asked(work, listed) for work in given_works)
    assert sum(paid) > min(available, total) - max(1, len(given_works))


@given(works, prices, wei, st.randoms())
def test_pay_does_not_depend_on_the_order(
    given_works: list[Work], listed: Prices, available: int, random: st.random_module
) -> None:
    order = list(range(len(given_works)))
    random.shuffle(order)  # type: ignore[attr-defined]
    paid = price(given_works, listed, available)
    shuffled = price([given_works[n] for n in order], listed, available)
    assert shuffled == [paid[n] for n in order]


@given(pay, st.randoms())
def test_a_lines_rewards_come_to_what_was_earned_whatever_the_order(
    earned: list[tuple[str, int]], random: st.random_module
) -> None:
    rewards = rewards_of(earned)
    accounts = [row.account.lower() for row in rewards]
    assert accounts == sorted(set(accounts)), "each once, in order"
    assert sum(row.amount for row in rewards) == sum(amount for _, amount in earned)
    assert all(row.amount for row in rewards)
    shuffled = list(earned)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rewards_of(shuffled) == rewards


@given(pay)
def test_every_reward_can_be_claimed_by_its_place_and_no_other(earned: list[tuple[str, int]]) -> None:
    rewards = rewards_of(earned)
    root = rewards_root(rewards)
    if not rewards:
        assert root == NO_ROOT
        return
    tree = reward_tree(rewards)
    for place, row in enumerate(rewards):
        proof = tree.proof(place)
        assert proved_root(REWARD_LEAF, (place, row.account, row.amount), proof) == root
        assert not verify(root, REWARD_LEAF, (place + 1, row.account, row.amount), proof)
        assert not verify(root, REWARD_LEAF, (place, row.account, row.amount + 1), proof)
        assert not verify(root, REWARD_LEAF, (place, "0x" + "1f" * 20, row.amount), proof)


def part(number: int = 1) -> JobEpoch:
    digest = "0x" + f"{number:064x}"
    return JobEpoch(
        job_id=digest,
        token=TOKEN,
        amount=1,
        rounds=(0, 1),
        parent_policy=digest,
        new_policy=digest,
        traces_root=trace_tree([digest]).root,
        trace_digests=(digest,),
        contributions=(),
        rewards=(),
        rewards_root=NO_ROOT,
    )


@given(st.integers(1, 2**31), st.integers(1, 2**31), st.integers(0, 3))
def test_the_report_is_made_of_its_lines_as_they_are(epoch: int, chain_id: int, lines: int) -> None:
    parts = [part(number) for number in range(lines)]
    text = report_text(epoch, chain_id, [one.canonical().decode() for one in parts])
    report = EpochReport(epoch=epoch, chain_id=chain_id, jobs=tuple(parts))
    assert text.encode() == report.canonical()
    assert sha256(text.encode()) == report.digest()


def settler(world: World) -> Settler:
    return Settler(world.services.db, world.chain, world.settings, world.clock)


def epoch(world: World, number: int = 1) -> dict[str, object]:
    view: dict[str, object] = world.http.get("/v1/epochs").json()[number - 1]
    return view


def dues(world: World, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.http.get(f"/v1/jobs/{job_id}/dues").json()
    return found


SIX = Grpo(rounds=6, groups_per_round=4, group_size=2)


def test_money_is_capped_by_the_budget(world: World) -> None:
    job_id = world.submit(job_spec(stage=SIX, budget=200_000))
    run(world, [world.node(1)], job_id)
    assert 199_000 < int(dues(world, job_id)[0]["amount"]) <= 200_000


def test_money_is_capped_by_the_epoch_cap(world: World) -> None:
    spec = job_spec(stage=SIX, epoch_rounds=3, budget=200_000)
    capped = world.chain.fund(spec)
    world.chain.jobs[capped] = replace(world.chain.jobs[capped], epoch_cap=100_000)
    state = world.chain.jobs[capped]
    world.chain.fund = lambda _spec, _number=1: state.job_id  # type: ignore[method-assign]
    world.submit(spec)
    run(world, [world.node(1)], capped)
    assert [99_000 < int(due["amount"]) <= 100_000 for due in dues(world, capped)] == [True, True]


def test_a_chain_that_is_away_delays_settlement_with_back_off(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.away = True
    waiting = settler(world)
    pauses = [waiting.step() for _ in range(4)]
    assert pauses == [0.02, 0.04, 0.08, 0.16]
    reason = "the chain's RPC endpoint does not answer (start it)"
    assert [(due["state"], due["error"]) for due in dues(world, job_id)] == [("waiting", reason)]
    assert world.job(job_id)["settlement"] == reason
    world.chain.away = False
    assert waiting.step() == 0.01
    waiting.step()
    assert (epoch(world)["state"], epoch(world)["error"]) == ("final", None)
    assert [(due["state"], due["error"], due["epoch"]) for due in dues(world, job_id)] == [("settled", None, 1)]
    assert world.job(job_id)["settlement"] is None
    assert world.chain.sent == [("propose", 1), ("finalise", 1)]


def test_the_challenge_window_is_waited_for(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.window = 100
    waiting = settler(world)
    for _ in range(3):
        waiting.step()
    assert epoch(world)["state"] == "proposed"
    assert "open for 100 s" in str(epoch(world)["error"])
    assert world.http.get(f"/v1/accounts/{world.node(1).owner}/claims").json() == []
    world.chain.time = 100
    waiting.step()
    assert epoch(world)["state"] == "final"


def test_what_all_waited_for_is_not_said_any_more_when_it_is_over(world: World) -> None:
    world.chain.window = 100
    waiting = settler(world)
    for number in (1, 2):
        run(world, [world.node(1)], world.submit(job_spec(name=f"told {number}"), number))
        waiting.step()
    world.chain.away = True
    waiting.step()
    assert ["does not answer" in str(epoch(world, number)["error"]) for number in (1, 2)] == [True, True]
    world.chain.away = False
    waiting.step()
    assert "window is open" in str(epoch(world, 1)["error"])
    assert "window is open" in str(epoch(world, 2)["error"])


def test_disputes_are_told_in_words(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.window = 1
    settler(world).step()
    world.chain.mark(1, 0, "disputed")
    world.chain.time = 1
    settler(world).step()
    assert "1 of its lines are disputed" in str(epoch(world)["error"])


def test_jobs_that_end_together_are_settled_together(world: World) -> None:
    jobs = [world.submit(job_spec(name=f"job {number}"), number) for number in (1, 2, 3)]
    for job_id in jobs:
        run(world, [world.node(1)], job_id)
    settler(world).step()
    report = EpochReport.parse(world.http.get("/v1/epochs/1/report").content)
    assert [part.job_id for part in report.jobs] == jobs
    assert [part.amount for part in report.jobs] == [sum(row.amount for row in part.rewards) for part in report.jobs]
    for job_id in jobs:
        view = world.http.get(f"/v1/jobs/{job_id}/traces?limit=1").json()[0]
        proof = world.http.get(f"/v1/jobs/{job_id}/traces/{view['trace_digest']}/proof")
        assert (view["epoch"], proof.status_code) == (1, 200)


def test_claims_are_those_of_paid_lines_in_pages(world: World) -> None:
    """A token in two spellings is one token."""
    for number, spelling in enumerate((TOKEN, TOKEN.lower()), 1):
        job_id = world.submit(job_spec(payment_token=spelling, name=f"job {number}"), number)
        assert run(world, [world.node(1)], job_id)["state"] == "completed"
    for _ in range(3):
        settler(world).step()
    account = world.node(1).owner.lower()
    claims = world.http.get(f"/v1/accounts/{account}/claims").json()
    assert [(claim["epoch"], claim["token"]) for claim in claims] == [(1, TOKEN), (1, TOKEN)]
    assert world.http.get(f"/v1/accounts/{account}/claims?limit=1&after=1").json() == claims[1:]
    assert world.http.get(f"/v1/accounts/{account}/claims?after=2").json() == []
    lines = EpochReport.parse(world.http.get("/v1/epochs/1/report").content).jobs
    for claim, line in zip(claims, lines, strict=True):
        row = (claim["index"], claim["account"], int(claim["amount"]))
        assert (claim["job_id"], verify(line.rewards_root, REWARD_LEAF, row, claim["proof"])) == (line.job_id, True)
    earned = world.http.get(f"/v1/accounts/{account}/rewards?token={TOKEN.lower()}").json()
    assert int(earned["final"]) == sum(int(claim["amount"]) for claim in claims)
    rows = world.http.get(f"/v1/accounts/{account}/earnings").json()
    assert sorted(row["lease_id"] for row in rows) == sorted(row["lease_id"] for row in earned["earnings"])
    pages = [
        world.http.get(f"/v1/accounts/{account}/earnings?limit=2&after={n}").json() for n in range(0, len(rows), 2)
    ]
    assert len(pages) > 1
    assert [row for rows_of_it in pages for row in rows_of_it] == rows


def test_what_is_worth_nothing_is_a_line_that_pays_nobody(world: World) -> None:
    job_id = world.submit(job_spec(prices=Prices()))
    run(world, [world.node(1)], job_id)
    for _ in range(3):
        settler(world).step()
    assert [due["state"] for due in dues(world, job_id)] == ["settled"]
    (line,) = EpochReport.parse(world.http.get("/v1/epochs/1/report").content).jobs
    assert (line.amount, line.rewards, line.rewards_root) == (0, (), NO_ROOT)
    assert world.http.get(f"/v1/accounts/{world.node(1).owner}/claims").json() == []

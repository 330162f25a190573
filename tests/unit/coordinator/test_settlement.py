"""Pricing, reports, and the way of an epoch to the chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.settlement.report import build_report, cumulate, reward_tree
from r1coordinator.settlement.sender import Settler
from r1net.chain import EpochState, EpochStatus
from r1net.protocol.job import Grpo, Prices
from r1net.protocol.merkle import verify
from r1net.protocol.pricing import Work, asked, price
from r1net.protocol.settlement import REWARD_LEAF, CumulativeReward, EpochReport, JobEpoch
from r1net.protocol.trace import trace_tree
from tests.unit.coordinator.jobs import TOKEN, job_spec, key
from tests.unit.coordinator.network import World, run

works = st.lists(st.builds(Work, st.sampled_from(["rollout", "training"]), st.integers(0, 10**9)), max_size=30)
wei = st.integers(0, 2**128)
prices = st.builds(Prices, rollout_token=st.integers(0, 10**24), trained_token=st.integers(0, 10**24))
ACCOUNTS = [key(n).address for n in range(4)]
rewards = st.lists(st.tuples(st.just(TOKEN), st.sampled_from(ACCOUNTS), wei), min_size=1, max_size=20)


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


@given(rewards, rewards)
def test_cumulative_rewards_only_grow(before: list[tuple[str, str, int]], after: list[tuple[str, str, int]]) -> None:
    first = cumulate((), before)
    second = cumulate(first, after)
    amounts = {(row.token, row.account): row.cumulative for row in second}
    assert all(amounts[row.token, row.account] >= row.cumulative for row in first)
    assert sum(amounts.values()) == sum(amount for _, _, amount in before + after)


def part() -> JobEpoch:
    digest = "0x" + "12" * 32
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
    )


@given(rewards, st.randoms())
def test_the_report_does_not_depend_on_the_order_and_every_row_can_be_claimed(
    earned: list[tuple[str, str, int]], random: st.random_module
) -> None:
    report = build_report(1, 31337, [part()], earned, None)
    shuffled = list(earned)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert build_report(1, 31337, [part()], shuffled, None).digest() == report.digest()
    tree = reward_tree(report.rewards)
    for place, row in enumerate(report.rewards):
        leaf = (row.token, row.account, row.cumulative)
        assert verify(report.rewards_root, REWARD_LEAF, leaf, tree.proof(place))


def test_reports_are_chained() -> None:
    first = build_report(1, 31337, [part()], [(TOKEN, ACCOUNTS[0], 5)], None)
    second = build_report(2, 31337, [part()], [(TOKEN, ACCOUNTS[0], 7)], first)
    assert second.previous_report == first.digest()
    assert second.rewards == (CumulativeReward(token=TOKEN, account=ACCOUNTS[0], cumulative=12),)


def settler(world: World) -> Settler:
    return Settler(world.services.db, world.chain, world.settings, world.clock)


def epoch(world: World, number: int = 1) -> dict[str, object]:
    view: dict[str, object] = world.http.get("/v1/epochs").json()[number - 1]
    return view


def dues(world: World, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.http.get(f"/v1/jobs/{job_id}/dues").json()
    return found


def test_money_is_capped_by_the_budget(world: World) -> None:
    job_id = world.submit(job_spec(budget=50_000))
    run(world, [world.node(1)], job_id)
    assert 49_000 < int(dues(world, job_id)[0]["amount"]) <= 50_000


def test_money_is_capped_by_the_epoch_cap(world: World) -> None:
    spec = job_spec(stage=Grpo(rounds=2, groups_per_round=4, group_size=2), epoch_rounds=1, budget=40_000)
    capped = world.chain.fund(spec)
    world.chain.jobs[capped] = replace(world.chain.jobs[capped], epoch_cap=20_000)
    state = world.chain.jobs[capped]
    world.chain.fund = lambda _spec, _number=1: state.job_id  # type: ignore[method-assign]
    world.submit(spec)
    run(world, [world.node(1)], capped)
    assert [int(due["amount"]) <= 20_000 for due in dues(world, capped)] == [True, True]


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
    assert world.http.get(f"/v1/accounts/{world.node(1).owner}/claim").status_code == 404
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
    assert epoch(world, 2)["error"] is None


def test_an_epoch_of_another_coordinator_is_not_built_on(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.epochs[1] = EpochState(1, EpochStatus.PENDING, "0x" + "99" * 32, "", "", 0, 1, 0)
    settler(world).step()
    assert world.http.get("/v1/epochs").json() == []
    assert "another epoch 1" in dues(world, job_id)[0]["error"]
    assert world.chain.sent == []


def test_disputes_are_told_in_words(world: World) -> None:
    job_id = world.submit()
    run(world, [world.node(1)], job_id)
    world.chain.window = 1
    settler(world).step()
    world.chain.epochs[1] = replace(world.chain.epochs[1], disputes=2)
    settler(world).step()
    assert "2 disputes" in str(epoch(world)["error"])


def test_jobs_that_end_together_are_settled_together(world: World) -> None:
    jobs = [world.submit(job_spec(name=f"job {number}"), number) for number in (1, 2, 3)]
    for job_id in jobs:
        run(world, [world.node(1)], job_id)
    settler(world).step()
    report = EpochReport.parse(world.http.get("/v1/epochs/1/report").content)
    assert [part.job_id for part in report.jobs] == jobs
    assert sum(part.amount for part in report.jobs) == sum(row.cumulative for row in report.rewards)
    for job_id in jobs:
        view = world.http.get(f"/v1/jobs/{job_id}/traces?limit=1").json()[0]
        proof = world.http.get(f"/v1/jobs/{job_id}/traces/{view['trace_digest']}/proof")
        assert (view["epoch"], proof.status_code) == (1, 200)


def test_one_token_in_two_spellings_is_one_row(world: World) -> None:
    for number, spelling in enumerate((TOKEN, TOKEN.lower()), 1):
        job_id = world.submit(job_spec(payment_token=spelling, name=f"job {number}"), number)
        assert run(world, [world.node(1)], job_id)["state"] == "completed"
        settler(world).step()
    rewards = world.http.get("/v1/epochs/2/report").json()["rewards"]
    assert [row["token"] for row in rewards] == [TOKEN]
    for _ in range(3):
        settler(world).step()
    account = world.node(1).owner.lower()
    claim = world.http.get(f"/v1/accounts/{account}/claim?token={TOKEN.lower()}").json()
    assert claim["cumulative"] == rewards[0]["cumulative"]
    earned = world.http.get(f"/v1/accounts/{account}/rewards?token={TOKEN.lower()}").json()
    assert earned["cumulative"] == claim["cumulative"]

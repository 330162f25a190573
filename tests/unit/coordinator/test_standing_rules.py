"""Standing, prices, deadlines, slots and publishers: pure rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.scheduling import blame, penalties
from r1coordinator.scheduling.blame import Suspicion, Tried
from r1coordinator.scheduling.deadlines import FETCH_RATE, Patience, allowance, expected_rate, mean_rate
from r1coordinator.scheduling.model import WorkerState
from r1coordinator.scheduling.prices import Choice, draws_away, ranked, worth
from r1coordinator.scheduling.publishers import Holder, Next, Order, step
from r1coordinator.scheduling.rollout import first_share, held_back, not_lost_by
from r1coordinator.scheduling.slots import has_room, slots_of, within
from r1net.prices import Price

R1, ODD = "0x" + "a1" * 20, "0x" + "0d" * 20
A, B, C = ("0x" + letter * 40 for letter in "abc")


def test_points_are_forgotten_by_halves_and_pauses_double() -> None:
    assert penalties.decayed(8, 0.0, 2 * penalties.HALF_LIFE) == pytest.approx(2)
    assert penalties.decayed(8, 100.0, 0.0) == 8, "a clock that went back forgives nothing"
    assert [penalties.pause(n) for n in (0, 0.5, 1, 2, 3, 4, 5)] == [0, 0, 0, 5, 10, 20, 40]
    assert penalties.pause(10**6) == 24 * 3600
    assert penalties.combined(1.0, 2.0) == 1.0
    assert penalties.combined(0.0, 20.0) == 5.0, "a new key of a bad owner does not begin anew"


def test_a_price_is_worth_how_many_times_the_floor_it_is() -> None:
    price = Price(R1, rollout=3000, trained=2000)
    assert worth(price, {R1.upper().replace("X", "x"): 1000}, R1) == 2
    assert worth(price, {R1: 2000}, R1) == 1
    assert worth(price, {R1: 2001}, R1) is None
    assert worth(price, {ODD: 1}, R1) is None
    assert worth(Price(R1, 0, 0), {R1: 0}, R1) == 0
    assert worth(price, None, R1) == 2000
    assert worth(price, None, None) == 2000
    assert worth(Price(ODD, 10**30, 10**30), None, R1) == 0, "what nobody asked for is worth nothing"


def test_the_fewest_workers_for_the_price_come_first_and_free_work_last() -> None:
    dear, cheap, free = Choice("dear", Fraction(4), 3), Choice("cheap", Fraction(1), 1), Choice("free", Fraction(0), 0)
    assert [choice.job_id for choice in ranked([free, cheap, dear])] == ["dear", "cheap", "free"]
    assert [choice.job_id for choice in ranked([cheap, Choice("same", Fraction(1), 1)])] == ["cheap", "same"]
    assert draws_away(free, cheap)
    assert not draws_away(cheap, free)
    assert not draws_away(Choice("held", Fraction(1), 0), Choice("other", Fraction(1), 0))
    assert draws_away(Choice("held", Fraction(1), 1), Choice("other", Fraction(1), 0))


def test_deadlines_are_a_multiple_of_what_was_measured() -> None:
    patience = Patience(factor=4, least=180, most=3600)
    assert allowance(patience, tokens=6000, rate=100) == 240
    assert allowance(patience, tokens=1, rate=100) == 180
    assert allowance(patience, tokens=10**9, rate=100) == 3600
    assert allowance(patience, tokens=6000, rate=100, fetch=60 * FETCH_RATE) == 480
    assert mean_rate(None, 100, 10) == 10
    assert mean_rate(10, 100, 1) == pytest.approx(37)
    assert expected_rate(None, [], 20) == 20
    assert expected_rate(None, [10, 30, 50], 20) == 30
    assert expected_rate(10, [10, 30, 50], 20) == 10
    assert expected_rate(0.001, [0.001, 80, 80], 20) == 10, "an eighth of the median at least"


def test_groups_go_to_others_than_who_lost_them_while_there_are_any() -> None:
    free, lost = (0, 1, 2, 3), {A: {0, 1}, B: {1}}
    assert not_lost_by(free, A, lost, [B]) == (1, 2, 3)
    assert not_lost_by(free, A, lost, [B, C]) == (2, 3)
    assert not_lost_by(free, A, lost, []) == free
    assert not_lost_by(free, C, lost, [A, B]) == free
    assert [held_back(n) for n in (1, 2, 10)] == [120, 240, 3600]
    assert [first_share(512, 2**15), first_share(10**6, 2**15)] == [64, 1]


def test_an_owner_has_so_many_workers_for_each_stake() -> None:
    assert slots_of(3, 8) == 24
    assert has_room([A], B, 2)
    assert not has_room([A, C], B, 2)
    assert has_room([A, B], B, 2), "one that is there may come anew"
    assert has_room([A, B, C], "0xnew", None)
    assert [within([A, B, C], worker, 2) for worker in (A, B, C)] == [True, True, False]
    assert within([A, B, C], C, None)


def test_half_of_an_attempt_tries_again_the_least_suspected_first() -> None:
    able = [WorkerState(name, name, (), frozenset({"train"}), {}, 0.0) for name in (A, B, C, "0xd")]
    shared = Tried((A, B, C, "0xd"), (), 0.0)
    suspicion = blame.suspect({A: Suspicion(2.0, 9), C: Suspicion(1.0, 9)}, shared, 3)
    assert [suspicion[name].points for name in (A, B, C, "0xd")] == [2.25, 0.25, 1.25, 0.25]
    assert [w.worker for w in blame.retry(able, suspicion, [shared], "seed", 0.0)] == [B, "0xd"]
    guilty = Tried((B, "0xd"), (B,), 0.0)
    assert [w.worker for w in blame.retry(able, suspicion, [shared, guilty], "seed", 0.0)] == [C, "0xd"]
    assert [w.worker for w in blame.starters(able, suspicion, 4)] == [A, B, C, "0xd"], "nobody else is there"
    assert [w.worker for w in blame.starters(able, {A: Suspicion(1.0, 6)}, 5)] == [B, C, "0xd"]
    assert [w.worker for w in blame.starters(able, {A: Suspicion(1.0, 6)}, 6)] == [A, B, C, "0xd"]


def test_who_broke_a_round_alone_waits_longer_each_time() -> None:
    able = [WorkerState(A, A, (), frozenset({"train"}), {}, 0.0)]
    history = [Tried((A,), (A,), 0.0), Tried((A,), (A,), 10.0), Tried((A,), (A,), 20.0)]
    assert blame.retry(able, {}, history, "seed", 27.9) == ()
    assert blame.retry(able, {}, history, "seed", 28.0) == tuple(able)


def holder(name: str, owner: str | None = None, live: bool = True) -> Holder:
    return Holder(name, owner or name, live)


def test_one_uploads_and_one_of_another_owner_proves() -> None:
    three = [holder(A, "one"), holder(B, "one"), holder(C, "two")]
    first = step(three, [], "seed")
    assert {first.upload, first.proof} & {C}, "two owners, where there are two"
    assert None not in (first.upload, first.proof)
    assert step([holder(A)], [], "seed") == Next(upload=A)
    assert step([holder(A)], [Order(A, False, "open")], "seed") == Next()
    assert step([holder(A)], [Order(A, False, "done")], "seed") == Next(done=True)
    assert step([holder(A, live=False), holder(B)], [], "seed") == Next(upload=B, proof=A)


def test_who_breaks_an_order_is_replaced_until_nobody_is_left() -> None:
    three = [holder(name) for name in (A, B, C)]
    broken = [Order(A, False, "broken"), Order(B, True, "done")]
    assert step(three, broken, "seed") == Next(upload=C)
    assert step(three, [*broken, Order(C, False, "broken")], "seed") == Next(upload=B), "it holds the files"
    assert step(three, [*broken, Order(C, False, "broken"), Order(B, False, "broken")], "seed") == Next(failed=True)
    unproved = [Order(A, False, "done"), Order(B, True, "broken")]
    assert step(three, unproved, "seed") == Next(proof=C)
    assert step(three, [*unproved, Order(C, True, "kept")], "seed") == Next()
    assert step(three, [*unproved, Order(C, True, "broken")], "seed") == Next(done=True), "the store and the uploader"


@given(data=st.data(), holders=st.integers(1, 6))
def test_publishing_comes_to_an_end_whatever_is_broken(data: st.DataObject, holders: int) -> None:
    """A version is done, or failed when every holder broke an order to upload it; each is asked twice at most."""
    names = [holder(f"0x{n}", owner=data.draw(st.sampled_from("ab"))) for n in range(holders)]
    orders: list[Order] = []
    for _turn in range(4 * holders + 2):
        found = step(names, orders, "seed")
        if found.done or found.failed:
            break
        for worker, proof in ((found.upload, False), (found.proof, True)):
            if worker is not None:
                orders.append(Order(worker, proof, "open"))
        states = [data.draw(st.sampled_from(["done", "broken"])) if o.state == "open" else o.state for o in orders]
        orders = [Order(o.worker, o.proof, state) for o, state in zip(orders, states, strict=True)]
    else:
        raise AssertionError("it never ended")
    uploaded = any(not o.proof and o.state == "done" for o in orders)
    assert found.done == uploaded
    assert len(orders) <= 2 * holders

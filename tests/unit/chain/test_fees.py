"""What replaces a transaction: enough for every node, never more than the cap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r1net.chain.fees import Fees, higher, offer

wei = st.integers(0, 10**13)
fees = st.builds(lambda most, tip: Fees(max(most, tip), min(most, tip)), wei, wei)


@given(fees, fees, wei)
def test_a_replacement_is_an_eighth_dearer_or_the_same_again(before: Fees, now: Fees, cap: int) -> None:
    after = higher(before, now, cap)
    assert after.tip <= after.most
    if after == before:
        return
    assert after.most <= cap
    assert 8 * after.most >= 9 * before.most


@given(fees, fees)
def test_far_below_the_cap_nothing_holds_it_back(before: Fees, now: Fees) -> None:
    after = higher(before, now, 10**14)
    assert (after.most, after.tip) >= (now.most, now.tip)
    assert 8 * after.tip >= 9 * before.tip


@given(wei, wei, wei)
def test_an_offer_keeps_to_the_cap(base: int, tip: int, cap: int) -> None:
    made = offer(base, tip, cap)
    assert made.tip <= made.most <= cap

"""Amounts as people write them: exact, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.amounts import tokens
from r1net.errors import UsageError
from r1node.amounts import checked_address, r1_wei, units

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@given(st.integers(1, 2**256 - 1), st.integers(0, 40))
def test_what_is_shown_can_be_typed(wei: int, decimals: int) -> None:
    assert units(tokens(wei, decimals), decimals) == wei


@given(st.text(max_size=30))
def test_anything_else_is_refused_in_words(text: str) -> None:
    for read in (r1_wei, checked_address, lambda text: units(text, 18)):
        try:
            read(text)
        except UsageError:
            continue
        assert any(sign.isdigit() for sign in text)


@pytest.mark.parametrize(
    "text", ["80", "R1", "-1 R1", "1,5 R1", "1e3 R1", "0 R1", "0.5 wei", "٣ R1", "1 ETH", "1.0000000000000000001 R1"]
)
def test_these_are_no_amounts(text: str) -> None:
    with pytest.raises(UsageError):
        r1_wei(text)


def test_these_are() -> None:
    assert [r1_wei(text) for text in ("80 R1", "1,000.5 R1", "7 wei")] == [80 * 10**18, 10_005 * 10**17, 7]


@pytest.mark.parametrize("text", [ADDRESS.lower(), ADDRESS.upper(), ADDRESS[:-1], ADDRESS[:-1] + "c", ADDRESS[2:], ""])
def test_an_address_that_may_be_mistyped_is_refused(text: str) -> None:
    assert checked_address(ADDRESS) == ADDRESS
    with pytest.raises(UsageError):
        checked_address(text)

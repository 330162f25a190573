"""Sums of earnings: whatever the rows, they lose nothing and count nothing twice."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from r1node.earnings import Row, RowState, grouped, sums

ROWS = st.lists(
    st.builds(
        Row,
        job=st.sampled_from(["0xaa", "0xbb", "0xcc"]),
        token=st.sampled_from(["0x01", "0x02"]),
        day=st.sampled_from([None, "2026-01-01", "2026-01-02"]),
        amount=st.integers(0, 2**128),
        state=st.sampled_from(get_args(RowState)),
    ),
    max_size=40,
)


@given(ROWS)
def test_the_parts_are_the_whole(rows: list[Row]) -> None:
    found = sums(rows)
    assert found.earned == sum(row.amount for row in rows)
    assert found.earned == found.pending + found.claimable + found.claimed + found.stuck
    for state in ("pending", "claimable", "claimed"):
        assert getattr(found, state) == sum(row.amount for row in rows if row.state == state)


@given(ROWS)
def test_every_way_to_group_comes_to_the_same(rows: list[Row]) -> None:
    by_token = grouped(rows, lambda row: row.token)
    for by in (lambda row: (row.token, row.day), lambda row: (row.token, row.job)):
        merged: dict[str, Counter[str]] = {}
        for (token, _), found in grouped(rows, by).items():
            merged.setdefault(token, Counter()).update(vars(found))
        assert {token: dict(found) for token, found in merged.items()} == {
            token: vars(found) for token, found in by_token.items()
        }

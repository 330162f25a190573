"""Parameters that fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r1net.chain.parameters import R1, Parameters
from r1net.errors import ChainError


def test_the_defaults_fit_together() -> None:
    Parameters().check()


@pytest.mark.parametrize(
    "wrong",
    [
        {"juror_fee": 200 * R1 // 124 + 1},
        {"dispute_penalty": 199 * R1},
        {"juror_stake": 100 * R1 + 1},
    ],
)
def test_bonds_cover_what_disputes_cost(wrong: dict[str, int]) -> None:
    with pytest.raises(ChainError, match="bond"):
        replace(Parameters(), **wrong).check()  # type: ignore[arg-type]


def test_no_stake_leaves_before_its_disputes_end() -> None:
    given = Parameters()
    replace(given, unbonding_delay=given.longest_hold()).check()
    with pytest.raises(ChainError, match="ends before a dispute"):
        replace(given, unbonding_delay=given.longest_hold() - 1).check()

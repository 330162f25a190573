"""Parameters that fit together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r1net.chain.parameters import Parameters
from r1net.errors import ChainError


def test_the_defaults_fit_together() -> None:
    Parameters().check()


def test_no_stake_leaves_before_its_disputes_end() -> None:
    given = Parameters()
    replace(given, unbonding_delay=given.longest_dispute()).check()
    with pytest.raises(ChainError, match="ends before a dispute"):
        replace(given, unbonding_delay=given.longest_dispute() - 1).check()

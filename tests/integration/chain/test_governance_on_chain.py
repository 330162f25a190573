"""Only a vote, after the timelock, changes a parameter."""

from __future__ import annotations

import pytest

from r1net.chain import Chain, Reverted
from r1net.chain.contract import BoundContract
from r1net.chain.governance import ProposalState, Vote

from .conftest import TEST_PARAMETERS, Anvil


def test_a_vote_changes_the_challenge_window(chain: Chain, node: Chain, anvil: Anvil) -> None:
    assert chain.account is not None
    chain.token.delegate(chain.account.address)
    anvil.pass_time(2)  # votes are those of a second that is over
    governance = chain.governance
    proposal = governance.draft("Settlement", "setChallengeWindow", 777, description="a longer window")
    with pytest.raises(Reverted, match="votes"):
        node.governance.propose(proposal)
    number = governance.propose(proposal)
    anvil.pass_time(TEST_PARAMETERS.voting_delay + 1)
    governance.vote(number, Vote.FOR)
    with pytest.raises(Reverted, match="has voted"):
        governance.vote(number, Vote.AGAINST)
    anvil.pass_time(TEST_PARAMETERS.voting_period)
    assert governance.state(number) is ProposalState.SUCCEEDED
    governance.queue(proposal)
    with pytest.raises(Reverted, match="delay is not over"):
        governance.execute(proposal)
    anvil.pass_time(TEST_PARAMETERS.timelock_delay)
    node.governance.execute(proposal)
    assert governance.state(number) is ProposalState.EXECUTED
    assert chain.settlement.challenge_window() == 777


def test_the_deployer_changes_nothing(chain: Chain) -> None:
    settlement = BoundContract("Settlement", chain.settlement.address, chain.sender)
    with pytest.raises(Reverted, match="lacks the role"):
        settlement.send("setChallengeWindow", 1)


def test_the_guardian_pauses_settlement_only(chain: Chain, anvil: Anvil) -> None:
    chain.settlement.pause()
    assert chain.settlement.paused_until() > chain.now()
    with pytest.raises(Reverted, match="paused"):
        chain.settlement.propose(1, [])
    chain.settlement.unpause()
    with pytest.raises(Reverted, match="no lines"):
        chain.settlement.propose(1, [])

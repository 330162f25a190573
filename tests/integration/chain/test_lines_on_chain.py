"""Every line is a pot of its own, on the real contracts: what one does, or has done to it, touches no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1coordinator.settlement.report import settlement_of
from r1coordinator.store.tables import EpochRow
from r1net.chain import Chain, JobSettlement, LineStatus, Reverted, RewardClaim
from r1net.chain.deploy import Accounts, deploy
from r1net.protocol.settlement import JobEpoch, Reward, reward_tree, rewards_of, rewards_root
from tests.integration.chain.test_settler_on_chain import Office

from .conftest import ARTIFACTS, COIN, TEST_PARAMETERS, Anvil

EVIDENCE = "0x" + "ee" * 32


@pytest.fixture
def robber(anvil: Anvil) -> LocalAccount:
    account: LocalAccount = Account.create()
    anvil.fund(account.address)
    return account


@pytest.fixture
def office(tmp_path: Path, anvil: Anvil, deployer: LocalAccount, robber: LocalAccount) -> Iterator[Office]:
    """An honest settler's, beside one who robs."""
    if not (ARTIFACTS / "Settlement.sol").exists():
        pytest.skip("contracts are not compiled: run contracts/tools/forge build")
    settler = Account.create()
    anvil.fund(settler.address)
    deployment = deploy(
        anvil.url,
        deployer,
        tmp_path / "deployment.json",
        artifacts=ARTIFACTS,
        parameters=TEST_PARAMETERS,
        accounts=Accounts((settler.address, robber.address), one_key=True),
    )
    made = Office(tmp_path, Chain.connect(anvil.url, deployment, deployer), anvil, settler)
    yield made
    made.db.close()


@pytest.fixture
def accuser(office: Office) -> Chain:
    account = Account.create()
    office.anvil.fund(account.address)
    office.chain.token.transfer(account.address, 2_000 * COIN)
    chain = Chain.connect(office.anvil.url, office.chain.deployment, account)
    chain.registry.register(2_000 * COIN)
    return chain


def claim(office: Office, job_id: str) -> int:
    """What a claim of everything in a job's newest due pays, in wei."""
    due = office.due(job_id)
    part = JobEpoch.parse(due.part)
    assert due.epoch is not None
    claims = claims_of(due.epoch, job_id, part.rewards)
    return office.chain.rewards.paid(office.chain.rewards.claim_many(claims))


def claims_of(epoch: int, job_id: str, rewards: tuple[Reward, ...]) -> list[RewardClaim]:
    tree = reward_tree(rewards)
    return [
        RewardClaim(epoch, job_id, index, row.account, row.amount, tuple(tree.proof(index)))
        for index, row in enumerate(rewards)
    ]


def test_a_line_of_one_wei_takes_nothing_of_others(office: Office, robber: LocalAccount) -> None:
    """It names everybody's pay, for the bond of one wei, and nobody disputes it."""
    job = office.owe(1, amount=500)
    office.settler.step()
    thief = Chain.connect(office.anvil.url, office.chain.deployment, robber)
    loot = rewards_of([(robber.address, 500)])
    line = JobSettlement(job, 1, rewards_root(loot), EVIDENCE, EVIDENCE, 1, EVIDENCE, EVIDENCE)
    thief.settlement.propose(2, [line])
    office.settle()
    thief.settlement.finalise(2)
    assert thief.settlement.status(2, 0) is LineStatus.FINALISED
    with pytest.raises(Reverted, match="has 1 left, and 500 is claimed"):
        thief.rewards.claim(claims_of(2, job, loot)[0])
    with pytest.raises(Reverted, match="no pot pays"):
        thief.rewards.claim(claims_of(1, job, loot)[0])
    part = JobEpoch.parse(office.due(job).part)
    with pytest.raises(Reverted, match="no pot pays"):
        thief.rewards.claim(claims_of(2, job, part.rewards)[0])
    assert (office.due(job).epoch, office.due(job).state) == (1, "settled")
    assert claim(office, job) == 500, "the honest line has all of its money"
    assert office.chain.token.balance(robber.address) == 0


def test_a_copied_line_pays_whom_the_original_pays_and_that_once_each(office: Office, robber: LocalAccount) -> None:
    """The same root under another epoch is another pot."""
    job = office.owe(1, amount=500)
    office.settler.step()
    thief = Chain.connect(office.anvil.url, office.chain.deployment, robber)
    part = JobEpoch.parse(office.due(job).part)
    original = settlement_of(part)
    copy = JobSettlement(**{**original.__dict__, "amount": 1, "report_digest": EVIDENCE})
    thief.settlement.propose(2, [copy])
    office.settle()
    thief.settlement.finalise(2)
    root = part.rewards_root
    assert claim(office, job) == 500
    assert office.chain.rewards.left(1, job, root) == 0
    assert office.chain.rewards.left(2, job, root) == 1
    assert office.chain.rewards.paid(office.chain.rewards.claim_many(claims_of(1, job, part.rewards))) == 0


def test_a_disputed_job_delays_no_other_and_is_paid_when_nobody_found_fault(office: Office, accuser: Chain) -> None:
    """There is nobody to judge, so that the line falls without a verdict, and is proposed anew."""
    jobs = sorted([office.owe(1), office.owe(2)])
    office.settler.step()
    settler = Chain.connect(office.anvil.url, office.chain.deployment, office.account)
    dispute = accuser.disputes.challenge_line(1, 0, EVIDENCE)
    settler.disputes.answer(dispute, EVIDENCE)
    office.settle()
    assert (office.due(jobs[0]).state, office.due(jobs[1]).state) == ("settling", "settled")
    assert claim(office, jobs[1]) == 5
    later = office.owe(3)
    office.settle()
    assert (office.due(later).epoch, office.due(later).state) == (2, "settled"), "nor later epochs"
    assert claim(office, later) == 5
    assert office.chain.settlement.bond_of(1) > 0

    settler.disputes.draw(dispute)
    assert (office.status(1, 0), office.status(1, 1)) == (LineStatus.REJECTED, LineStatus.FINALISED)
    assert office.chain.settlement.bond_of(1) == 0, "free once no line is disputed"
    assert not office.chain.settlement.is_suspended(office.account.address)
    office.settle()
    due = office.due(jobs[0])
    assert (due.state, due.epoch, due.rejections) == ("settled", 3, 1)
    assert claim(office, jobs[0]) == 5
    assert office.chain.escrow.job(jobs[0]).reserved == 0


def test_a_conviction_touches_no_line_that_is_paid_and_no_other_epoch(office: Office, accuser: Chain) -> None:
    jobs = sorted([office.owe(1), office.owe(2)])
    office.settler.step()
    dispute = accuser.disputes.challenge_line(1, 1, EVIDENCE)
    later = office.owe(3)
    office.settle()
    office.anvil.pass_time(TEST_PARAMETERS.answer_period)
    accuser.disputes.resolve(dispute)
    assert (office.status(1, 0), office.status(1, 1)) == (LineStatus.FINALISED, LineStatus.REJECTED)
    assert office.due(later).state == "settled"
    assert [claim(office, job) for job in (jobs[0], later)] == [5, 5]
    office.settle()
    with office.db.read() as s:
        row = s.get_one(EpochRow, 3)
    assert (row.state, office.due(jobs[1]).epoch) == ("open", 3), "until governance reinstates the settler"
    assert "was convicted" in str(row.error)
    assert office.chain.escrow.job(jobs[1]).reserved == 0, "its reserve is free all the same"

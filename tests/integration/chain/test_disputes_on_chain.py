"""A cheating node is challenged, judged and slashed; a cheating settler is rejected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, JobSettlement, LineStatus, Reverted
from r1net.chain.disputes import DisputePhase, Docket, SignedSubmission, Verdict
from r1net.chain.fraud import CountedTrace
from r1net.chain.provenance import TraceStatus
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.signing import Domain, submission_values

from .conftest import COIN, TEST_PARAMETERS, Anvil

EVIDENCE = "0x" + "ee" * 32
SALT = "0x" + "5a" * 32
STAKE = 2_000 * COIN
PENALTY, BOND = TEST_PARAMETERS.dispute_penalty, TEST_PARAMETERS.dispute_bond
FEE = TEST_PARAMETERS.juror_fee

NewNode = Callable[[], Chain]


def digest(number: int) -> str:
    return "0x" + number.to_bytes(32, "big").hex()


def address(chain: Chain) -> str:
    assert chain.account is not None
    return str(chain.account.address)


@pytest.fixture
def new_node(anvil: Anvil, chain: Chain) -> NewNode:
    """Makes staked nodes."""

    def make() -> Chain:
        account = Account.create()
        anvil.fund(account.address)
        chain.token.transfer(account.address, STAKE)
        node = Chain.connect(anvil.url, chain.deployment, account)
        node.registry.register(STAKE)
        return node

    return make


def signed_submission(chain: Chain, worker: LocalAccount, traces: StandardMerkleTree) -> SignedSubmission:
    """What a node hands in with its traces, signed as the protocol does."""
    domain = Domain(chain.chain_id(), chain.registry.address)
    signature = domain.sign(worker, "Submission", submission_values("lease-7", traces.root, len(traces)))
    return SignedSubmission("lease-7", traces.root, len(traces), signature)


def traces_of(first: int, count: int = 6) -> StandardMerkleTree:
    return StandardMerkleTree.of([(digest(number),) for number in range(first, first + count)], ["bytes32"])


def propose(chain: Chain, job: str, traces: StandardMerkleTree) -> int:
    epoch = chain.settlement.next_epoch()
    line = JobSettlement(job, COIN, digest(epoch), digest(9), traces.root, len(traces), digest(1), digest(2))
    chain.settlement.propose(epoch, [line])
    return epoch


def vote(node: Chain, anvil: Anvil, dispute: int, jurors: list[Chain], verdict: Verdict) -> None:
    """Draw, commit, reveal and count."""
    anvil.rpc("anvil_mine", "0x3")
    node.disputes.draw(dispute)
    state = node.disputes.dispute(dispute)
    drawn = node.disputes.committee(dispute, state.round)
    seated = [juror for juror in jurors if address(juror) in drawn]
    ballots = [node.disputes.ballot(dispute, state.round, address(juror)) for juror in seated]
    assert sum(ballot.seats for ballot in ballots) == 2 ** (state.appeals + 2) - 1
    assert {ballot.at_risk // ballot.seats for ballot in ballots} == {TEST_PARAMETERS.juror_stake}
    assert all([one.dispute_id for one in juror.disputes.duties(address(juror))] == [dispute] for juror in seated)
    for juror in seated:
        juror.disputes.commit(dispute, verdict, SALT)
    anvil.pass_time(TEST_PARAMETERS.commit_period)
    for juror in seated:
        juror.disputes.reveal(dispute, verdict, SALT)
    anvil.pass_time(TEST_PARAMETERS.reveal_period)
    node.disputes.tally(dispute)


def test_a_cheating_node_is_slashed(anvil: Anvil, new_node: NewNode) -> None:
    cheat, challenger, worker = new_node(), new_node(), Account.create()
    cheat.registry.bind_worker(worker)
    jurors = [new_node() for _ in range(4)]
    for juror in jurors:
        juror.pool.join()
    traces = traces_of(100)
    submission = signed_submission(cheat, worker, traces)
    dispute = challenger.disputes.challenge_trace(submission, digest(102), traces.proof(2), EVIDENCE)
    assert [one.dispute_id for one in cheat.disputes.against(address(cheat))] == [dispute]
    assert cheat.disputes.subject(dispute) == (digest(102), EVIDENCE)
    cheat.disputes.answer(dispute, digest(5))
    vote(challenger, anvil, dispute, jurors, Verdict.GUILTY)
    with pytest.raises(Reverted, match="possible from"):
        challenger.disputes.resolve(dispute)
    anvil.pass_time(TEST_PARAMETERS.appeal_period)
    receipt = challenger.disputes.resolve(dispute)
    assert challenger.disputes.slashed(receipt) == PENALTY
    assert cheat.disputes.against(address(cheat)) == []
    assert cheat.registry.stake_of(address(cheat)) == STAKE - PENALTY
    assert challenger.token.balance(address(challenger)) == PENALTY // 2 - 3 * FEE
    assert sum(juror.token.balance(address(juror)) for juror in jurors) == 3 * FEE
    assert challenger.disputes.trace_docket(worker.address, digest(102)) == Docket(0, 0, convicted=True)
    with pytest.raises(Reverted, match="found wrong before"):
        challenger.disputes.challenge_trace(submission, digest(102), traces.proof(2), digest(6))


def test_an_appeal_can_turn_it_round(anvil: Anvil, new_node: NewNode) -> None:
    node, challenger, worker = new_node(), new_node(), Account.create()
    node.registry.bind_worker(worker)
    jurors = [new_node() for _ in range(7)]
    for juror in jurors:
        juror.pool.join()
    traces = traces_of(100)
    submission = signed_submission(node, worker, traces)
    dispute = challenger.disputes.challenge_trace(submission, digest(100), traces.proof(0), EVIDENCE)
    with pytest.raises(Reverted, match="over this is open"):
        challenger.disputes.challenge_trace(submission, digest(100), traces.proof(0), digest(6))
    node.disputes.answer(dispute, digest(5))
    vote(challenger, anvil, dispute, jurors, Verdict.GUILTY)
    with pytest.raises(Reverted, match="only the loser appeals"):
        challenger.disputes.appeal(dispute)
    node.disputes.appeal(dispute)
    vote(challenger, anvil, dispute, jurors, Verdict.INNOCENT)
    anvil.pass_time(TEST_PARAMETERS.appeal_period)
    node.disputes.resolve(dispute)
    state = node.disputes.dispute(dispute)
    assert (state.phase, state.verdict, state.appeals) == (DisputePhase.RESOLVED, Verdict.INNOCENT, 1)
    assert challenger.registry.stake_of(address(challenger)) == STAKE - BOND
    assert node.registry.node(address(node)).locked == 0
    for juror in jurors:
        seats = node.disputes.ballot(dispute, 0, address(juror)).seats
        lost = seats * TEST_PARAMETERS.juror_stake
        assert juror.registry.stake_of(address(juror)) == STAKE - lost, "who was overturned loses"
    with pytest.raises(Reverted, match="in spite of that evidence"):
        challenger.disputes.challenge_trace(submission, digest(100), traces.proof(0), EVIDENCE)
    again = challenger.disputes.challenge_trace(submission, digest(100), traces.proof(0), digest(6))
    assert challenger.disputes.dispute(again).bond == 2 * BOND


def test_a_line_without_an_answer_convicts_its_settler(chain: Chain, anvil: Anvil, new_node: NewNode) -> None:
    challenger = new_node()
    job = chain.escrow.create_job(chain.token.address, 10 * COIN, COIN, digest(7))
    epoch = propose(chain, job, traces_of(1))
    dispute = challenger.disputes.challenge_line(epoch, 0, EVIDENCE)
    state = challenger.disputes.dispute(dispute)
    assert (state.epoch, state.line, state.accused) == (epoch, 0, address(chain))
    anvil.pass_time(TEST_PARAMETERS.challenge_window)
    with pytest.raises(Reverted, match="paid, rejected or disputed"):
        chain.settlement.finalise(epoch)
    anvil.pass_time(TEST_PARAMETERS.answer_period)
    challenger.disputes.resolve(dispute)
    assert chain.settlement.status(epoch, 0) is LineStatus.REJECTED
    worker, proof = Account.create().address, traces_of(1).proof(0)
    assert chain.provenance.trace_status(job, epoch, digest(1), worker, proof) is TraceStatus.REJECTED
    assert challenger.disputes.line_docket(epoch, 0).convicted
    chain.settlement.unwind(epoch)
    assert chain.escrow.job(job).available == 10 * COIN
    assert chain.settlement.is_suspended(address(chain))
    with pytest.raises(Reverted, match="was convicted"):
        propose(chain, job, traces_of(1))


def test_a_verifier_comes_and_goes(new_node: NewNode) -> None:
    node = new_node()
    owner = address(node)
    node.pool.join()
    assert (node.pool.size(), node.pool.weight(owner), node.pool.ready()) == (1, STAKE, True)
    node.pool.quit()
    assert (node.pool.size(), node.pool.weight(owner)) == (0, 0)
    with pytest.raises(Reverted, match="until block"):
        node.pool.release(owner)
    node.pool.join()
    node.registry.deactivate()
    node.pool.update(owner)
    assert node.pool.size() == 0


def test_fraud_that_proves_itself(chain: Chain, new_node: NewNode) -> None:
    finder = new_node()
    assert chain.account is not None
    assert chain.registry.stake_of(address(chain)) == TEST_PARAMETERS.settler_stake
    job = chain.escrow.create_job(chain.token.address, 10 * COIN, 2 * COIN, digest(7))
    first, second = propose(chain, job, traces_of(1)), propose(chain, job, traces_of(6))
    bond = chain.settlement.bond_of(second)
    assert bond > TEST_PARAMETERS.bond_base
    one = CountedTrace(job, first, traces_of(1).proof(5))
    two = CountedTrace(job, second, traces_of(6).proof(0))
    finder.fraud.prove_double_count(digest(6), two, one)
    assert chain.settlement.status(first, 0) is LineStatus.PENDING
    assert chain.settlement.status(second, 0) is LineStatus.REJECTED
    assert (
        chain.registry.stake_of(address(chain)) == TEST_PARAMETERS.settler_stake - TEST_PARAMETERS.fraud_penalty - bond
    )

    chain.registry.add_stake(STAKE)
    statement = finder.fraud.sign_statement(chain.account, first, digest(66))
    finder.fraud.prove_contradiction(statement)
    assert chain.settlement.status(first, 0) is LineStatus.REJECTED

    chain.registry.add_stake(STAKE)
    lies = [finder.fraud.sign_statement(chain.account, 99, digest(number)) for number in (1, 2)]
    finder.fraud.prove_equivocation(*lies)
    with pytest.raises(Reverted, match="was punished"):
        finder.fraud.prove_equivocation(*lies)
    assert finder.token.balance(address(finder)) == 3 * (TEST_PARAMETERS.fraud_penalty // 2)

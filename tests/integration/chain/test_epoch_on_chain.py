"""One epoch on a real chain: stake, fund, propose, finalise, claim, verify, refund."""

from __future__ import annotations

import pytest
from eth_account import Account

from r1net.chain import Chain, EpochContent, JobSettlement, LineStatus, Reverted, RewardClaim, peer_id_of
from r1net.chain.provenance import StatementKind, TraceStatus
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.settlement import Reward, reward_tree, rewards_of, rewards_root

from .conftest import COIN, TEST_PARAMETERS, Anvil


def digest(number: int) -> str:
    return "0x" + number.to_bytes(32, "big").hex()


def account_of(chain: Chain) -> str:
    assert chain.account is not None
    return str(chain.account.address)


def line_of(job: str, rewards: tuple[Reward, ...], traces: StandardMerkleTree, amount: int) -> JobSettlement:
    return JobSettlement(job, amount, rewards_root(rewards), digest(9), traces.root, len(traces), digest(1), digest(2))


def settle(chain: Chain, anvil: Anvil, *lines: JobSettlement) -> int:
    epoch = chain.settlement.next_epoch()
    chain.settlement.propose(epoch, lines)
    anvil.pass_time(100)
    chain.settlement.finalise(epoch)
    return epoch


def claims_of(epoch: int, job: str, rewards: tuple[Reward, ...]) -> list[RewardClaim]:
    tree = reward_tree(rewards)
    return [
        RewardClaim(epoch, job, index, row.account, row.amount, tuple(tree.proof(index)))
        for index, row in enumerate(rewards)
    ]


def test_stake_worker_and_exit(node: Chain, anvil: Anvil) -> None:
    owner, worker, second = account_of(node), Account.create(), Account.create()
    node.registry.register(100 * COIN, worker)
    assert node.registry.is_active(owner)
    assert node.registry.owner_of(worker.address) == owner
    assert node.registry.peer_id(worker.address) == peer_id_of(worker)
    node.registry.bind_worker(second)
    node.registry.unbind_worker(second.address)
    assert node.registry.owner_of(second.address) is None
    assert node.registry.accountable_for(second.address) == owner
    node.registry.deactivate()
    with pytest.raises(Reverted, match="bound until"):
        node.registry.withdraw()
    anvil.pass_time(TEST_PARAMETERS.unbonding_delay)
    node.registry.withdraw()
    assert node.registry.stake_of(owner) == 0
    assert node.token.balance(owner) == 10_000 * COIN


def test_epoch_pays_and_proves(chain: Chain, node: Chain, anvil: Anvil) -> None:
    owner, token = account_of(node), chain.token.address
    job = chain.escrow.create_job(token, 100 * COIN, 60 * COIN, digest(7))
    rewards = rewards_of([(owner, 45 * COIN), (Account.create().address, 15 * COIN)])
    traces = StandardMerkleTree.of([(digest(number),) for number in range(10, 20)], ["bytes32"])
    line = line_of(job, rewards, traces, 60 * COIN)
    epoch = settle(chain, anvil, line)

    assert chain.settlement.status(epoch, 0) is LineStatus.FINALISED
    assert chain.settlement.status(epoch, 1) is LineStatus.NONE
    content = EpochContent.of(epoch, [line])
    assert chain.settlement.content(epoch) == content
    assert chain.settlement.contents(epoch) == [content]
    assert chain.settlement.epoch(epoch).commitment == content.commitment()
    claims = claims_of(epoch, job, rewards)
    own = next(claim for claim in claims if claim.account == owner)
    receipt = chain.rewards.claim(own)
    assert chain.rewards.paid(receipt) == 45 * COIN
    assert chain.rewards.paid(chain.rewards.claim(own)) == 0
    assert chain.rewards.paid(chain.rewards.claim_many(claims)) == 15 * COIN, "what is paid already is passed over"
    assert chain.rewards.paid_lines(owner) == {(epoch, job)}
    assert chain.rewards.is_claimed(epoch, job, line.rewards_root, own.index)
    assert chain.rewards.left(epoch, job, line.rewards_root) == 0
    with pytest.raises(Reverted, match="no pot pays"):
        chain.rewards.claim(RewardClaim(epoch, job, 7, own.account, own.amount, own.proof))

    worker = account_of(node)
    assert node.provenance.trace_status(job, epoch, digest(12), worker, traces.proof(2)) is TraceStatus.FINALISED
    assert node.provenance.trace_status(job, epoch, digest(13), worker, traces.proof(2)) is TraceStatus.UNKNOWN
    record = node.provenance.record(job, epoch)
    assert (record.traces_root, record.trace_count, record.report_digest) == (traces.root, 10, digest(9))

    chain.escrow.close(job)
    anvil.pass_time(200)
    chain.escrow.refund(job)
    state = chain.escrow.job(job)
    assert (state.paid, state.refunded, state.available, state.reserved) == (60 * COIN, 40 * COIN, 0, 0)


def test_statements_are_complete(node: Chain) -> None:
    node.provenance.state(StatementKind.DATASET, digest(1), digest(2))
    node.provenance.state(StatementKind.WITHDRAWAL, digest(3), digest(4))
    kinds = [statement.kind for statement in node.provenance.statements(account_of(node))]
    assert kinds == [StatementKind.DATASET, StatementKind.WITHDRAWAL]


def test_lineage_leads_from_a_checkpoint_to_its_parents(node: Chain) -> None:
    author = account_of(node)
    parents = StandardMerkleTree.of([(digest(number),) for number in (1, 2, 3)], ["bytes32"])
    node.provenance.state(StatementKind.CHECKPOINT, digest(50), parents.root)
    node.provenance.state(StatementKind.LICENCE, digest(50), digest(51))
    assert node.provenance.is_parent(author, digest(50), digest(2), parents.proof(1))
    assert not node.provenance.is_parent(author, digest(50), digest(4), parents.proof(1))
    assert not node.provenance.is_parent(author, digest(60), digest(2), parents.proof(1))
    assert node.provenance.withdrawn(author, digest(50)) is None
    node.provenance.state(StatementKind.WITHDRAWAL, digest(50), digest(99))
    assert node.provenance.withdrawn(author, digest(50)) == digest(99)


def test_refusals_come_in_words(chain: Chain, node: Chain) -> None:
    with pytest.raises(Reverted, match="lacks the role"):
        node.settlement.propose(1, [])
    with pytest.raises(Reverted, match="is next") as refused:
        chain.settlement.propose(5, [])
    assert (refused.value.name, refused.value.values) == ("WrongEpoch", {"epoch": 5, "expected": 1})
    with pytest.raises(Reverted, match="below the minimum"):
        node.registry.register(1)

"""Pay for disputed traces on the real contracts: held, set free, claimed, or given back to the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from r1net.chain import Chain
from r1net.chain.disputes import DisputePhase, SignedSubmission, Verdict
from r1net.protocol.evidence import Evidence
from r1net.protocol.settlement import ClaimProof
from r1net.transport import Transport
from r1node.books import open_books
from r1node.claims import Claimed, claim_all
from r1node.earnings import Sums
from r1node.verification.bailiff import Bailiff
from r1node.verification.defence import Defence
from r1node.verification.exhibit import fetch_signed
from tests.integration.chain.conftest import COIN
from tests.integration.coordinator.conftest import PARAMETERS, LastingAnvil
from tests.integration.coordinator.live import LiveNode, LiveWorld, until
from tests.integration.coordinator.test_live import over, settled, spec_for

EVIDENCE = "0x" + "ee" * 32


class Case:
    """A job that is settled, its two hosts, and somebody who accuses them."""

    def __init__(self, world: LiveWorld) -> None:
        self.world = world
        self.job_id = world.submit(spec_for(world, rounds=2))
        self.nodes = [LiveNode(world, number) for number in (1, 2)]
        for node in self.nodes:
            node.start()
        until(lambda: over(world, self.job_id), 90)
        until(lambda: settled(world))
        for node in self.nodes:
            node.stop()
        self.source = Transport(f"http://127.0.0.1:{world.port}")
        account = Account.create()
        world.anvil.fund(account.address)
        world.chain.token.transfer(account.address, 2_000 * COIN)
        self.accuser = self.connect(account)
        self.accuser.registry.register(2_000 * COIN)

    def connect(self, account: object) -> Chain:
        """An account's connection."""
        return Chain.connect(self.world.anvil.url, self.world.deployment, account)  # type: ignore[arg-type]

    def accuse(self, node: LiveNode) -> int:
        """Dispute a trace of a host's."""
        views = self.world.get(f"/v1/jobs/{self.job_id}/traces?after=0&limit=1000")
        digest = next(view["trace_digest"] for view in views if view["trace"]["worker"] == node.worker)
        signed = fetch_signed(self.source, self.world.domain, self.job_id, digest)
        submission = SignedSubmission(signed.lease_id, signed.traces_root, signed.count, signed.signature)
        return self.accuser.disputes.challenge_trace(submission, digest, signed.proof, EVIDENCE)

    def claim(self, node: LiveNode) -> list[Claimed]:
        """What `r1node claim` does."""
        proofs = self.source.walk(f"/v1/accounts/{node.owner}/claims", ClaimProof, 100)
        return list(claim_all(self.connect(node.owner_key), node.owner, proofs))

    def sums(self, node: LiveNode) -> Sums:
        """What `r1node rewards` sums up."""
        (found,) = open_books(self.connect(None), self.source, node.owner).sums_by_token().values()
        return found

    def bailiff(self) -> Callable[[], list[str]]:
        """A watcher's part in it; gives what it did."""
        made = Bailiff(self.accuser, self.source, self.world.domain)
        return lambda: [step.detail for step in made.round()]


@pytest.fixture
def case(world: LiveWorld) -> Case:
    return Case(world)


def test_pay_for_a_convicted_trace_goes_back_to_its_job(case: Case) -> None:
    cheat, honest = case.nodes
    dispute = case.accuse(cheat)
    look = case.bailiff()
    (done,) = look()
    assert done.endswith("is held")
    assert look() == case.bailiff()() == [], "once is enough, whoever did it"
    (held,) = case.claim(cheat)
    assert (held.paid, held.transaction) == (0, None)
    assert held.held > 0
    before = case.sums(honest)
    (claimed,) = case.claim(honest)
    assert claimed.paid > 0, "nobody else is touched"
    assert before == Sums(earned=claimed.paid, pending=0, claimable=claimed.paid, claimed=0, stuck=0)
    assert case.sums(honest) == replace(before, claimable=0, claimed=claimed.paid)
    assert case.sums(cheat) == Sums(earned=held.held, pending=0, claimable=0, claimed=0, stuck=held.held)
    case.world.anvil.pass_time(PARAMETERS.answer_period)
    case.accuser.disputes.resolve(dispute)
    job = case.world.chain.escrow.job(case.job_id)
    (done,) = look()
    assert done.endswith("went back to the job")
    after = case.world.chain.escrow.job(case.job_id)
    assert after.available - job.available == held.held
    assert case.claim(cheat) == case.claim(honest) == []
    assert look() == case.bailiff()() == []
    assert case.world.chain.rewards.paid_lines(cheat.owner) == set()


def test_pay_for_an_acquitted_trace_is_free_again(case: Case, anvil: LastingAnvil, tmp_path: Path) -> None:
    """The host answers by itself, with what it signed. There is nobody to judge: the dispute ends without a verdict."""
    accused, _ = case.nodes
    dispute = case.accuse(accused)
    look = case.bailiff()
    assert [done.endswith("is held") for done in look()] == [True]
    chain = case.connect(accused.owner_key)
    defence = Defence(chain, case.source, case.world.domain, accused.owner, tmp_path)
    assert [turn.step for turn in defence.round()] == ["accused", "answered"]
    (file,) = (tmp_path / "disputes").iterdir()
    shown = Evidence.parse(file.read_bytes()).submission
    assert shown is not None
    assert (shown.worker, shown.trace_digest) == (accused.worker, chain.disputes.subject(dispute)[0])
    anvil.rpc("anvil_mine", "0x8")
    chain.disputes.draw(dispute)
    state = chain.disputes.dispute(dispute)
    assert (state.phase, state.verdict) == (DisputePhase.RESOLVED, Verdict.NONE)
    assert [turn.step for turn in defence.round()] == ["acquitted"]
    assert [done.endswith("is free again") for done in look()] == [True]
    (claimed,) = case.claim(accused)
    assert claimed.paid > 0
    assert look() == case.bailiff()() == case.claim(accused) == []

"""A host leaves: its workers finish, its stake comes back, whatever breaks off in between."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from r1net.chain import Chain
from r1net.chain.disputes import SignedSubmission
from r1net.errors import ChainError, UsageError
from r1net.protocol.merkle import StandardMerkleTree
from r1net.protocol.signing import Domain, submission_values
from r1node.events import Events
from r1node.locks import exclusive, stop_requested
from r1node.stake import stopped_workers
from r1node.worker import enrol
from tests.integration.chain.conftest import COIN, TEST_PARAMETERS, Anvil
from tests.integration.hosts.host import STAKE, Host
from tests.integration.waiting import until

DELAY = TEST_PARAMETERS.unbonding_delay


def test_killed_between_deactivation_and_withdrawal_the_stake_comes_back_all_the_same(host: Host, anvil: Anvil) -> None:
    registry, owner = host.chain.registry, host.owner.address
    first = subprocess.Popen(host.command("leave", "--wait"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    exit_at = until(lambda: registry.node(owner).exit_at, 60)
    first.kill()
    first.communicate()
    early = host.ask("leave")
    assert (early["state"], early["stake"], early["returned"]) == ("leaving", str(STAKE), 0)
    assert early["withdrawable_from"] == exit_at, "to leave twice is to leave once"
    assert f"{time.gmtime(exit_at).tm_year}-" in host.read("leave")
    assert not registry.is_active(owner)
    anvil.pass_time(DELAY)
    done = host.ask("leave")
    assert (done["state"], done["returned"], done["stake"]) == ("left", str(STAKE), 0)
    assert host.chain.token.balance(owner) == 1_200 * COIN
    assert host.ask("leave")["state"] == "left"

    enrol(host.chain, host.settings, host.owner, host.worker, Events())
    assert registry.is_active(owner), "who left may come back with the same worker"


def test_a_stake_waits_for_its_disputes(host: Host, chain: Chain, anvil: Anvil) -> None:
    traces = StandardMerkleTree.of([("0x" + f"{n:064x}",) for n in range(4)], ["bytes32"])
    values = submission_values("lease-7", traces.root, 4)
    signature = Domain(chain.chain_id(), chain.registry.address).sign(host.worker, "Submission", values)
    signed = SignedSubmission("lease-7", traces.root, 4, signature)
    number = chain.disputes.challenge_trace(signed, "0x" + f"{1:064x}", traces.proof(1), "0x" + "ee" * 32)
    assert host.ask("leave")["held_by"] == [f"dispute {number} against this owner (open)"]
    anvil.pass_time(2 * DELAY)
    shown = host.ask("leave")
    assert (shown["state"], len(shown["held_by"])) == ("leaving", 1), "the delay is over, the dispute is not"
    chain.disputes.resolve(number)
    left = host.ask("leave")
    assert (left["state"], int(left["returned"])) == ("left", STAKE - TEST_PARAMETERS.dispute_penalty)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_juror_leaves_the_pool_first(host: Host, anvil: Anvil) -> None:
    """The pool holds on for so many blocks that mining them takes a minute."""
    host.chain.pool.join()
    (pool,) = host.ask("leave")["held_by"]
    assert pool.startswith("the pool of jurors until block 8")
    assert not host.chain.pool.contains(host.owner.address)
    anvil.pass_time(DELAY)
    while host.chain.head() < 8_300:
        anvil.rpc("anvil_mine", hex(300))
    left = host.ask("leave")
    assert (left["state"], left["returned"]) == ("left", str(STAKE))


def test_a_host_that_changes_its_mind_stays(host: Host) -> None:
    host.ask("leave")
    assert host.ask("leave", "--cancel")["state"] == "staying"
    assert host.chain.registry.is_active(host.owner.address)
    assert host.ask("leave", "--cancel")["state"] == "staying"
    with pytest.raises(UsageError, match="keeps it in"):
        host.ask("leave", "--cancel", "--wait")


def test_stake_is_shown_and_added_to_as_people_write_it(host: Host) -> None:
    shown = host.ask("stake", "status")
    assert (shown["stake"], shown["active"], shown["leaving"]) == (str(STAKE), True, False)
    assert shown["withdrawable_from"] == pytest.approx(host.chain.now() + DELAY, abs=5)
    assert "1,000 R1" in host.read("stake", "status")
    assert int(host.ask("stake", "add", "50.5 R1")["stake"]) == STAKE + 505 * COIN // 10
    with pytest.raises(ChainError, match=r"holds 149.5 R1, not 1,000 R1"):
        host.ask("stake", "add", "1000 R1")
    for wrong in ("50", "0 R1", "-5 R1", "lots", "0.1 wei", "nan R1"):
        with pytest.raises(UsageError):
            host.ask("stake", "add", "--", wrong)


def test_nothing_happens_before_the_worker_has_finished(tmp_path: Path) -> None:
    """A worker in a thread holds the lock as one in a process does."""
    folder, steps = tmp_path / "0", []
    works = threading.Event()

    def work() -> None:
        with exclusive(folder):
            works.set()
            until(lambda: stop_requested(folder))
            time.sleep(0.2)
            steps.append("finished")

    worker = threading.Thread(target=work)
    worker.start()
    works.wait()
    with stopped_workers([folder], lambda event, _: steps.append(event)):
        steps.append("leaves")
        with pytest.raises(Exception, match="running already"), exclusive(folder):
            pass
    worker.join()
    assert steps == ["drain", "finished", "leaves"]
    assert not stop_requested(folder), "the next worker isn't stopped"


def test_who_has_no_stake_has_nothing_to_take_back(newcomer: Host) -> None:
    assert newcomer.ask("leave") == newcomer.ask("leave", "--cancel")
    assert newcomer.ask("leave")["state"] == "left"
    with pytest.raises(UsageError, match="no stake to add to"):
        newcomer.ask("stake", "add", "5 R1")

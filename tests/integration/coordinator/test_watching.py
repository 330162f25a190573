"""A watcher beside a settler who robs: it disputes every bad line, and only those."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1coordinator.settlement.report import settlement_of
from r1net.audit import Sources, open_shelf
from r1net.chain import Chain, JobSettlement, LineStatus, Reverted
from r1net.errors import UsageError
from r1net.protocol.checks import CheckView
from r1net.protocol.job import Verification
from r1net.protocol.settlement import EpochReport, JobEpoch
from r1net.transport import Transport
from r1node.verification.bailiff import Bailiff
from r1node.verification.exhibit import fetch_exhibit
from r1node.verification.patrol import Patrol
from r1node.verification.watcher import Watcher
from tests.integration.chain.conftest import COIN
from tests.integration.coordinator.conftest import PARAMETERS
from tests.integration.coordinator.live import LiveNode, LiveWorld, until
from tests.integration.coordinator.test_live import over, settled, spec_for


def never(*_: object) -> int:
    raise AssertionError("no trace was to be disputed")


def finish(world: LiveWorld, spec_number: int) -> str:
    """A job that is done and settled."""
    spec = spec_for(world, rounds=2).model_copy(update={"name": f"watched {spec_number}"})
    job_id = world.submit(spec)
    until(lambda: over(world, job_id), 90)
    until(lambda: all(due["state"] == "settled" for due in world.get(f"/v1/jobs/{job_id}/dues")))
    until(lambda: settled(world))
    return job_id


def line_of(source: Transport, epoch: int, job_id: str) -> JobEpoch:
    report = source.get(f"/v1/epochs/{epoch}/report", EpochReport)
    return next(job for job in report.jobs if job.job_id == job_id)


def test_every_line_of_a_robber_is_disputed_and_no_honest_one(
    world: LiveWorld, robber: LocalAccount, tmp_path: Path
) -> None:
    """He pays himself from one job, and settles another one's epoch once more. What the watcher saw of that it keeps:
    of a line that nobody shows, nothing."""
    node = LiveNode(world, 1)
    node.start()
    jobs = [finish(world, number) for number in (1, 2)]
    node.stop()
    source = Transport(f"http://127.0.0.1:{world.port}")
    thief = Chain.connect(world.anvil.url, world.deployment, robber)
    mine = JobSettlement(jobs[0], 7, *("0x" + "0b" * 32 for _ in range(3)), 1, jobs[0], jobs[0])
    again = settlement_of(line_of(source, 2, jobs[1]))
    number = thief.settlement.next_epoch()
    thief.settlement.propose(number, [mine, again])

    account = Account.create()
    world.anvil.fund(account.address)
    world.chain.token.transfer(account.address, 4_000 * COIN)
    chain = Chain.connect(world.anvil.url, world.deployment, account)
    chain.registry.register(4_000 * COIN)
    disputed: list[tuple[int, int]] = []
    shelf = open_shelf(tmp_path / "archive")

    def object_to(epoch: int, line: int, faults: tuple[str, ...]) -> int:
        assert faults
        disputed.append((epoch, line))
        return chain.disputes.challenge_line(epoch, line, "0x" + f"{line + 1:064x}")

    watcher = Watcher(
        chain,
        source,
        Sources(source, shelf=shelf),
        account.address,
        never,
        object_to,
        Bailiff(chain, source, world.domain),
        Patrol(source, account.address, 0),
    )
    seen = [one for one in watcher.round() if one.dispute]
    assert disputed == [(number, 0), (number, 1)]
    noted = [shelf.line(number, line) for line in (0, 1)]
    assert [(line.whole, line.paths == ()) for line in noted if line] == [(False, True)] * 2
    assert len(seen) == 2
    assert list(watcher.round()) == []
    world.anvil.pass_time(PARAMETERS.challenge_window)
    with pytest.raises(Reverted, match="paid, rejected or disputed"):
        thief.settlement.finalise(number)
    world.anvil.pass_time(PARAMETERS.answer_period)
    chain.disputes.resolve(seen[0].dispute or 0)
    assert thief.settlement.is_suspended(robber.address)
    assert [thief.settlement.status(number, line) for line in (0, 1)] == [LineStatus.REJECTED] * 2
    assert settled(world), "the honest settler's lines are as they were"
    source.close()


def test_a_watcher_repeats_what_nobody_has_drawn(world: LiveWorld) -> None:
    """Work that the draw has spared, and that friends have cleared, each piece once, and none of its own."""
    node = LiveNode(world, 1)
    node.start()
    checked = Verification(rate=1e-6, training_rate=1e-6)
    job_id = world.submit(spec_for(world, rounds=2).model_copy(update={"verification": checked}))
    source = Transport(f"http://127.0.0.1:{world.port}")

    def decided() -> list[CheckView]:
        rows = source.get_many(f"/v1/jobs/{job_id}/checks", CheckView, limit=100)
        return rows if all(row.state == "spared" for row in rows) else []

    checks = until(decided, 90)
    node.stop()
    looked: list[str] = []

    def accuse(job: str, digest: str) -> int:
        exhibit = fetch_exhibit(source, world.domain, job, digest)
        looked.append(exhibit.signed.lease_id)
        raise UsageError("nothing speaks against it")

    for owner, share, expected in (("0x" + "77" * 20, 1.0, len(checks)), (checks[0].owner, 1.0, 0), ("0x", 0.0, 0)):
        looked.clear()
        bailiff, patrol = Bailiff(world.chain, source, world.domain), Patrol(source, owner, share)
        watcher = Watcher(world.chain, source, Sources(source), owner, accuse, never, bailiff, patrol)
        for _ in range(2):
            list(watcher.round())
        assert sorted(looked) == sorted(check.lease_id for check in checks[:expected])
    source.close()

"""The coordinator's settler on the real contracts: refunds, rejected epochs, reorganisations and stuck transactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from sqlalchemy import select

from r1coordinator.chain import RealChain
from r1coordinator.settings import Settings
from r1coordinator.settlement.sender import Settler
from r1coordinator.store.database import Database
from r1coordinator.store.tables import Base, DueRow, EpochRow
from r1net.chain import Chain, LineStatus
from r1net.chain.deploy import Accounts, deploy
from r1net.protocol.job import Prices
from tests.adversarial.coordinator.owing import add_debt
from tests.integration.waiting import until
from tests.unit.coordinator.jobs import job_spec

from .conftest import ARTIFACTS, COIN, TEST_PARAMETERS, Anvil

CONFIRMATIONS = 3


class Office:
    """A settler on the real chain, and jobs of the deployer's that owe."""

    def __init__(self, folder: Path, chain: Chain, anvil: Anvil, account: LocalAccount) -> None:
        self.chain, self.anvil = chain, anvil
        self.settings = Settings(
            database=f"sqlite:///{folder / 'r1.db'}", settlement_poll_seconds=0.01, confirmations=CONFIRMATIONS
        )
        self.db = Database(self.settings.database)
        Base.metadata.create_all(self.db.engine)
        self.account = account
        self.restart()

    def restart(self) -> None:
        """A new process."""
        self.real = RealChain(self.anvil.url, self.chain.deployment, self.account, 500 * 10**9)
        self.settler = Settler(self.db, self.real, self.settings)

    def owe(self, number: int, amount: int = 5) -> str:
        """A funded job owes."""
        spec = job_spec(
            name=f"job {number}", prices=Prices(rollout_token=1), budget=COIN, payment_token=self.chain.token.address
        )
        job_id = self.chain.escrow.create_job(spec.payment_token, spec.budget, spec.budget, spec.digest())
        with self.db.write() as s:
            add_debt(s, job_id, spec, number, amount, time.time())
        return job_id

    def due(self, job_id: str) -> DueRow:
        """The newest due of a job."""
        with self.db.read() as s:
            return s.scalars(select(DueRow).where(DueRow.job_id == job_id).order_by(DueRow.id.desc())).first()  # type: ignore[return-value]

    def states(self) -> dict[int, str]:
        """Number -> state of the epochs."""
        with self.db.read() as s:
            return {row.epoch: row.state for row in s.scalars(select(EpochRow).order_by(EpochRow.epoch))}

    def settle(self) -> None:
        """Let windows pass and blocks come until all is at rest."""
        for _ in range(5):
            self.anvil.pass_time(101)
            for _ in range(CONFIRMATIONS):
                self.anvil.rpc("evm_mine")
            self.settler.step()

    def status(self, number: int, line: int = 0) -> LineStatus:
        """What the chain says of a line."""
        return self.chain.settlement.status(number, line)


@pytest.fixture
def office(tmp_path: Path, anvil: Anvil, deployer: LocalAccount) -> Iterator[Office]:
    if not (ARTIFACTS / "Settlement.sol").exists():
        pytest.skip("contracts are not compiled: run contracts/tools/forge build")
    settler = Account.create()
    anvil.fund(settler.address)
    made_at = tmp_path / "deployment.json"
    deployment = deploy(
        anvil.url,
        deployer,
        made_at,
        artifacts=ARTIFACTS,
        parameters=TEST_PARAMETERS,
        accounts=Accounts((settler.address,), one_key=True),
    )
    made = Office(tmp_path, Chain.connect(anvil.url, deployment, deployer), anvil, settler)
    yield made
    made.db.close()


def test_a_refunded_job_is_left_out_and_the_others_are_paid(office: Office) -> None:
    gone, paid = office.owe(1), office.owe(2)
    office.chain.escrow.close(gone)
    office.anvil.pass_time(200)
    office.chain.escrow.refund(gone)
    for _ in range(CONFIRMATIONS):
        office.anvil.rpc("evm_mine")
    office.settler.step()
    office.settle()
    assert (office.due(gone).state, office.due(paid).state) == ("unpayable", "settled")
    assert office.chain.escrow.job(paid).paid == 5


def test_a_refund_between_look_and_proposal_names_the_job(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, paid = office.owe(1), office.owe(2)
    propose = office.real.propose

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(office.real, "propose", propose)
        office.chain.escrow.close(gone)
        office.anvil.pass_time(200)
        office.chain.escrow.refund(gone)
        return propose(*arguments)

    monkeypatch.setattr(office.real, "propose", late)
    office.settler.step()
    assert office.due(paid).state == "settling"
    assert office.due(gone).state == "waiting", "the refund isn't deep yet"
    assert office.due(gone).error
    assert [job.job_id for job in office.chain.settlement.content(1).jobs] == [paid]


def test_a_proposal_and_a_finalisation_that_are_taken_back_are_sent_again(office: Office) -> None:
    job_id = office.owe(1)
    before = office.anvil.rpc("evm_snapshot")["result"]
    office.settler.step()
    assert (office.states(), office.status(1)) == ({1: "proposed"}, LineStatus.PENDING)
    assert office.anvil.rpc("evm_revert", before)["result"] is True
    assert office.status(1) == LineStatus.NONE
    office.restart()
    office.settler.step()
    assert office.status(1) == LineStatus.PENDING
    office.anvil.pass_time(101)
    again = office.anvil.rpc("evm_snapshot")["result"]
    office.settler.step()
    assert (office.status(1), office.states()[1]) == (LineStatus.FINALISED, "proposed")
    assert office.anvil.rpc("evm_revert", again)["result"] is True
    assert office.status(1) == LineStatus.PENDING
    office.settle()
    assert (office.status(1), office.states()[1]) == (LineStatus.FINALISED, "final")
    assert (office.due(job_id).state, office.chain.escrow.job(job_id).paid) == ("settled", 5)


def test_a_real_reorganisation_of_several_blocks(office: Office) -> None:
    job_id = office.owe(1)
    office.settler.step()
    office.anvil.rpc("evm_mine")
    answer = office.anvil.rpc("anvil_reorg", 2, [])
    assert "error" not in answer, answer
    assert office.status(1) == LineStatus.NONE
    office.settler.step()
    assert office.status(1) == LineStatus.PENDING
    office.settle()
    assert office.due(job_id).state == "settled"
    assert office.chain.settlement.next_epoch() == 2


def test_a_rejected_line_is_unwound_and_its_work_goes_into_another_epoch(office: Office) -> None:
    """The deployment's disputes contract rejects, as after a dispute without a verdict."""
    job_id = office.owe(1)
    office.settler.step()
    reject(office, 1)
    assert office.status(1) == LineStatus.REJECTED
    office.settler.step()
    assert office.states() == {1: "proposed"}, "not deep yet"
    office.settle()
    assert (office.status(1), office.status(2)) == (LineStatus.UNWOUND, LineStatus.FINALISED)
    assert office.states() == {1: "final", 2: "final"}
    assert (office.due(job_id).epoch, office.due(job_id).rejections) == (2, 1)
    state = office.chain.escrow.job(job_id)
    assert (state.paid, state.reserved) == (5, 0)


def reject(office: Office, number: int, line: int = 0) -> None:
    """Send `reject` as the disputes contract."""
    disputes = office.chain.deployment.address("Disputes")
    office.anvil.rpc("anvil_impersonateAccount", disputes)
    office.anvil.fund(disputes)
    contract = office.chain.settlement._contract
    sent = office.anvil.rpc(
        "eth_sendTransaction",
        {"from": disputes, "to": contract.address, "data": "0x" + contract.encode("reject", number, line).hex()},
    )
    assert "error" not in sent, sent


def test_a_stuck_proposal_is_replaced_and_proposed_once(office: Office) -> None:
    job_id = office.owe(1)
    sender = office.real._connected().sender
    sender.bump_after = 0.3
    office.anvil.rpc("evm_setAutomine", False)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(office.settler.step)
        first = until(lambda: waiting(office))[0]
        until(lambda: [entry for entry in waiting(office) if entry["hash"] != first["hash"]])
        office.anvil.rpc("evm_setAutomine", True)
        office.anvil.rpc("evm_mine")
        future.result(timeout=30)
    assert office.status(1) == LineStatus.PENDING
    office.settle()
    assert office.due(job_id).state == "settled"
    assert office.chain.settlement.next_epoch() == 2


def test_a_process_that_dies_while_its_proposal_waits_does_not_propose_twice(office: Office) -> None:
    office.owe(1)
    sender = office.real._connected().sender
    sender.timeout = 0.5
    office.anvil.rpc("evm_setAutomine", False)
    office.settler.step()
    (row,) = office.states().values()
    assert row == "open"
    office.restart()
    office.real._connected().sender.bump_after = 0.3
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(office.settler.step)
        time.sleep(1.5)
        assert len(waiting(office)) == 1
        office.anvil.rpc("evm_setAutomine", True)
        office.anvil.rpc("evm_mine")
        future.result(timeout=30)
    assert office.chain.settlement.next_epoch() == 2
    office.settle()
    assert office.states() == {1: "final"}


def waiting(office: Office) -> list[dict[str, str]]:
    """Transactions that aren't mined."""
    content = office.anvil.rpc("txpool_content")["result"]
    return [entry for kind in content.values() for account in kind.values() for entry in account.values()]

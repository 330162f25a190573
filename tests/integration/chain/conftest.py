"""A real Anvil for the tests, started from the pinned native binary."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment
from r1net.chain.client import open_sender
from r1net.chain.deploy import Accounts, Parameters, deploy
from r1net.chain.parameters import DAY
from tests.e2e.harness.chain import native_binary
from tests.e2e.harness.processes import free_port

ROOT = Path(__file__).resolve().parents[3]
ARTIFACTS = ROOT / "contracts" / "out"
COIN = 10**18
# Anvil's well-known first account.
DEPLOYER_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
TEST_PARAMETERS = Parameters(
    min_stake=100 * COIN,
    unbonding_delay=8 * DAY,
    challenge_window=100,
    close_grace=200,
    cap_period=100,
    bond_base=5 * COIN,
    settler_stake=2_000 * COIN,
    answer_period=50,
    commit_period=50,
    reveal_period=50,
    appeal_period=50,
    committee_size=3,
    pool_min_jurors=0,
    pool_min_weight=0,
    timelock_delay=100,
    voting_delay=10,
    voting_period=100,
)


@dataclass
class Anvil:
    """A running chain and its controls."""

    url: str
    process: subprocess.Popen[bytes]

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Call a JSON-RPC method of the chain."""
        return open_sender(self.url, None).w3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]

    def fund(self, address: str) -> None:
        """Give an account 100 of the chain's coin for gas."""
        self.rpc("anvil_setBalance", address, hex(100 * COIN))

    def pass_time(self, seconds: int) -> None:
        """Let time go by and mine a block."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")


def start_anvil() -> Anvil:
    """Start a chain on a free port and wait until it answers."""
    port = free_port()
    process = subprocess.Popen(
        [native_binary("anvil"), "--hardfork", "cancun", "--port", str(port), "--silent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Anvil(f"http://127.0.0.1:{port}", process)
        time.sleep(0.05)
    process.kill()
    raise RuntimeError("anvil did not start within 10 seconds")


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    chain = start_anvil()
    yield chain
    chain.process.terminate()
    chain.process.wait(timeout=10)


@pytest.fixture
def deployer() -> LocalAccount:
    return Account.from_key(DEPLOYER_KEY)


@pytest.fixture
def deployment(anvil: Anvil, deployer: LocalAccount, tmp_path: Path) -> Deployment:
    if not (ARTIFACTS / "Settlement.sol").exists():
        pytest.skip("contracts are not compiled: run contracts/tools/forge build")
    path = tmp_path / "deployment.json"
    return deploy(
        anvil.url, deployer, path, artifacts=ARTIFACTS, parameters=TEST_PARAMETERS, accounts=Accounts(one_key=True)
    )


@pytest.fixture
def chain(anvil: Anvil, deployment: Deployment, deployer: LocalAccount) -> Chain:
    """The deployer's connection: holds all R1 and may settle."""
    return Chain.connect(anvil.url, deployment, deployer)


@pytest.fixture
def node(anvil: Anvil, chain: Chain) -> Chain:
    """Another account's connection, with coins for gas and R1 for stakes."""
    account = Account.create()
    anvil.fund(account.address)
    chain.token.transfer(account.address, 10_000 * COIN)
    return Chain.connect(anvil.url, chain.deployment, account)

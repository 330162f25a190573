"""A coordinator process on a real chain."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from r1net.chain import Chain
from r1net.chain.deploy import Accounts, Parameters, deploy
from tests.e2e.harness.chain import native_binary
from tests.e2e.harness.processes import free_port
from tests.integration.chain.conftest import ARTIFACTS, COIN, DEPLOYER_KEY, Anvil
from tests.integration.coordinator.live import LiveWorld

PARAMETERS = Parameters(
    min_stake=100 * COIN,
    challenge_window=1,
    close_grace=200,
    cap_period=1,
    bond_base=COIN,
    bond_rate=COIN // 1_000,
    pool_min_jurors=0,
    pool_min_weight=0,
)


@dataclass
class LastingAnvil(Anvil):
    """A chain that can be stopped and started again with its state."""

    port: int
    state: Path

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [native_binary("anvil"), "--hardfork", "cancun", "--port", str(self.port), "--silent"]
        self.process = subprocess.Popen([*command, "--state", self.state, "--mixed-mining", "--block-time", "1"])
        for _ in range(200):
            try:
                self.rpc("eth_chainId")
            except OSError:  # requests' connection errors
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("anvil did not start within 10 seconds")

    def stop(self) -> None:
        """Stop, and keep the state."""
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture
def anvil(tmp_path: Path) -> Iterator[LastingAnvil]:
    port = free_port()
    chain = LastingAnvil(f"http://127.0.0.1:{port}", None, port, tmp_path / "anvil.json")  # type: ignore[arg-type]
    chain.start()
    yield chain
    chain.stop()


@pytest.fixture
def robber(anvil: LastingAnvil) -> LocalAccount:
    """Another settler."""
    account: LocalAccount = Account.create()
    anvil.fund(account.address)
    return account


@pytest.fixture
def world(anvil: LastingAnvil, robber: LocalAccount, tmp_path: Path) -> Iterator[LiveWorld]:
    if not (ARTIFACTS / "Settlement.sol").exists():
        pytest.skip("contracts are not compiled: run contracts/tools/forge build")
    deployer = Account.from_key(DEPLOYER_KEY)
    settler = Account.create()
    anvil.fund(settler.address)
    deployment = deploy(
        anvil.url,
        deployer,
        tmp_path / "made.json",
        artifacts=ARTIFACTS,
        parameters=PARAMETERS,
        accounts=Accounts((settler.address, robber.address), one_key=True),
    )
    made = LiveWorld(tmp_path, anvil, Chain.connect(anvil.url, deployment, deployer), settler)
    yield made
    made.kill()
    made.http.close()

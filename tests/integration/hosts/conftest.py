"""One chain with its contracts for all hosts that type commands; each test has a host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from r1net.chain import Chain
from r1net.chain.deploy import Accounts, deploy
from tests.integration.chain.conftest import ARTIFACTS, DEPLOYER_KEY, TEST_PARAMETERS, Anvil, start_anvil
from tests.integration.hosts.host import STAKE, Host


@pytest.fixture(scope="session")
def anvil() -> Iterator[Anvil]:
    chain = start_anvil()
    yield chain
    chain.process.terminate()
    chain.process.wait(timeout=10)


@pytest.fixture(scope="session")
def chain(anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The deployer's connection: holds all R1."""
    if not (ARTIFACTS / "Settlement.sol").exists():
        pytest.skip("contracts are not compiled: run contracts/tools/forge build")
    deployer = Account.from_key(DEPLOYER_KEY)
    file = tmp_path_factory.mktemp("network") / "deployment.json"
    accounts = Accounts(one_key=True)
    deployment = deploy(anvil.url, deployer, file, artifacts=ARTIFACTS, parameters=TEST_PARAMETERS, accounts=accounts)
    return Chain.connect(anvil.url, deployment, deployer)


@pytest.fixture
def newcomer(tmp_path: Path, anvil: Anvil, chain: Chain) -> Host:
    """A host that hasn't staked yet."""
    return Host(tmp_path / "host", anvil, chain)


@pytest.fixture
def host(newcomer: Host) -> Host:
    """A host that takes part."""
    newcomer.chain.registry.register(STAKE, newcomer.worker)
    return newcomer

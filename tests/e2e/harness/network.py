"""The network under test: what an operator, two hosts and a submitter would set up by hand."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import httpx
from eth_account.signers.local import LocalAccount

import r1net
from r1net.chain import Chain, Deployment, create_keystore
from r1net.chain.deploy import Accounts, Parameters, deploy
from tests.e2e.harness.chain import COIN, ROOT, Anvil
from tests.e2e.harness.processes import Process, Supervisor, free_port, wait_until

QUICK_SCRYPT = 2**12
"""Key stretching of the throw-away keys made here; `r1node init` uses the full work factor."""

BIN = Path(sys.executable).parent


class Network:
    """One folder, one chain, one coordinator, any number of nodes."""

    def __init__(
        self, folder: Path, parameters: Parameters | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.supervisor = Supervisor()
        self._parameters = parameters or Parameters(
            challenge_window=2,
            min_stake=100 * COIN,
            cap_period=2,
            bond_rate=COIN // 1_000,
            pool_min_jurors=0,
            pool_min_weight=0,
        )
        self._settings = dict(settings or {})
        folder.mkdir(parents=True, exist_ok=True)
        self.password_file = folder / "password"
        self.password_file.write_text(secrets.token_hex(16))
        self.password_file.chmod(0o600)
        self.deployment_file = folder / "deployment.json"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ways: dict[str, str] = {}
        """Where a host asks for the coordinator, for hosts that don't ask it directly."""
        self.anvil = Anvil(self.logs, folder / "anvil.json")

    def start_chain(self, settlers: Sequence[str] = ()) -> None:
        """Anvil with the contracts; the operator owns them and all R1, the coordinator may settle. `settlers`: nodes
        whose owners may settle as well, with a stake from the start."""
        self.supervisor.add(self.anvil.process)
        self.anvil.wait()
        self.operator = self.wallet("operator")
        may_settle = (self.wallet("coordinator").address, *map(self.make_keys, settlers))
        deploy(
            self.anvil.url,
            self.operator,
            self.deployment_file,
            artifacts=ROOT / "contracts" / "out",
            parameters=self._parameters,
            accounts=Accounts(may_settle, one_key=True),
        )
        self.chain = Chain.connect(self.anvil.url, Deployment.load(self.deployment_file), self.operator)

    def wallet(self, name: str) -> LocalAccount:
        """A keystore with coin for gas."""
        account = create_keystore(self.folder / f"{name}.json", self.password_file.read_text(), iterations=QUICK_SCRYPT)
        self.anvil.fund(account.address)
        return account

    def start_coordinator(self) -> Process:
        """`r1coordinator migrate` and `serve`."""
        common = ["--database", f"sqlite:///{self.folder}/coordinator.db"]
        subprocess.run([BIN / "r1coordinator", "migrate", *common], check=True, capture_output=True)
        command = [
            *(str(BIN / "r1coordinator"), "serve", *common),
            *("--port", str(self.port), "--blobs", str(self.folder / "blobs")),
            *("--rpc-url", self.anvil.url, "--deployment", str(self.deployment_file)),
            *("--keystore", str(self.folder / "coordinator.json"), "--password-file", str(self.password_file)),
        ]
        settings = {"public_rpc_url": self.anvil.url, **self._settings}
        env = {f"R1_COORDINATOR_{key.upper()}": value for key, value in settings.items()}
        process = self.supervisor.add(Process("coordinator", command, self.logs / "coordinator.log", env))
        self.wait_for_coordinator()
        return process

    def wait_for_coordinator(self) -> None:
        """Until it answers."""
        wait_until(self._healthy, "the coordinator's start", 180, self.supervisor.processes["coordinator"])

    def r1node(self, name: str, *arguments: str) -> list[str]:
        """The command line that a host would type."""
        return [
            *(str(BIN / "r1node"), *arguments),
            *("--coordinator", self.ways.get(name, self.url), "--data-dir", str(self.folder / name)),
            *("--password-file", str(self.password_file)),
        ]

    def ask_node(self, name: str, *arguments: str, codes: Collection[int] = (0,)) -> object:
        """Run a node command with --json; returns what it printed. Raises RuntimeError when it ends in another way
        than with one of `codes`."""
        done = subprocess.run(self.r1node(name, *arguments, "--json"), capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise RuntimeError(f"r1node {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def make_keys(self, name: str) -> str:
        """`r1node init`, and coin for gas; returns the owner's address."""
        keys = self.ask_node(name, "init")
        assert isinstance(keys, dict)
        self.anvil.fund(keys["owner"])
        return str(keys["owner"])

    def found_node(self, name: str, stakes: int = 1) -> None:
        """`r1node init`, and money for a stake of so many times the least."""
        self.chain.token.transfer(self.make_keys(name), stakes * self._parameters.min_stake)

    def start_node(self, name: str, machine: Mapping[str, str] | None = None, stakes: int = 1) -> Process:
        """`r1node init`, money for so many times the least stake, `r1node join`. `machine`: variables that make of this
        machine another one."""
        self.found_node(name, stakes)
        stake = str(stakes * self._parameters.min_stake)
        command = self.r1node(name, "join", "--threads", "1", "--device", "cpu", "--stake", stake)
        env = {"PYTHONUNBUFFERED": "1", **(machine or {})}
        return self.supervisor.add(Process(name, command, self.logs / f"{name}.log", env))

    def client(self, budget: int) -> r1net.Client:
        """A submitter with `budget` wei of R1."""
        account = self.wallet("submitter")
        self.chain.token.transfer(account.address, budget)
        return r1net.Client(self.url, key_file=self.folder / "submitter.json", password_file=self.password_file)

    def stop(self) -> None:
        """End every process."""
        self.supervisor.stop()

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).is_success
        except httpx.TransportError:
            return False


def single_threaded() -> None:
    """One OpenMP thread for every process started from here: spinning barriers eat small machines."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def submitter_variables(network: Network) -> dict[str, str]:
    """The environment under which the README's script runs."""
    return {
        "R1_COORDINATOR": network.url,
        "R1_KEY_FILE": str(network.folder / "submitter.json"),
        "R1_PASSWORD_FILE": str(network.password_file),
    }

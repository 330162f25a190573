"""Deploys a network's contracts, or completes and checks a deployment that is there already.

    python -m r1net.chain.deploy --rpc http://127.0.0.1:8545 --key-file owner.json --out deployment.json

Repeating it changes nothing: what the file names and the chain runs is kept and verified (code, links, roles), what
is missing is deployed. The file is written after every contract, so that a crash loses none.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from r1net.chain.artifacts import Artifact
from r1net.chain.client import open_sender
from r1net.chain.contract import BoundContract
from r1net.chain.deployment import Deployment
from r1net.chain.keystore import load_keystore
from r1net.chain.reasons import load_abi
from r1net.chain.sender import Sender
from r1net.errors import ChainError, R1Error

DAY = 86_400
R1 = 10**18
ADMIN = bytes(32)


@dataclass(frozen=True)
class Parameters:
    """What the contracts are made with. Amounts in wei of R1, times in seconds."""

    supply: int = 1_000_000_000 * R1
    min_stake: int = 1_000 * R1
    unbonding_delay: int = 14 * DAY
    challenge_window: int = DAY
    close_grace: int = 2 * DAY


@dataclass
class Deployer:
    """One run of the deployment: what it knows, and what it did."""

    sender: Sender
    parameters: Parameters
    artifacts: Path
    path: Path
    contracts: dict[str, str] = field(default_factory=dict)
    block: int = 0
    deployed: list[str] = field(default_factory=list)

    def run(self, settlers: Sequence[str], guardian: str) -> Deployment:
        """Deploy what is missing, wire it, verify all of it."""
        self._read_file()
        me, given = self._account().address, self.parameters
        self._ensure("R1Token", lambda: [me, given.supply], after=())
        self._ensure("Settlement", lambda: [me, given.challenge_window, given.close_grace], after=())
        self._adopt("Settlement", "escrow", "JobEscrow")
        self._adopt("Settlement", "rewards", "Rewards")
        self._ensure("NodeRegistry", self._registry_arguments, after=("R1Token", "Settlement"))
        self._ensure("Provenance", lambda: [self.contracts["Settlement"]], after=("Settlement",))
        self._check_links()
        for settler in settlers:
            self._grant("Settlement", "SETTLER_ROLE", settler)
        self._grant("Settlement", "GUARDIAN_ROLE", guardian)
        return self._save()

    def _account(self) -> LocalAccount:
        if self.sender.account is None:
            raise ChainError("deploying needs an account")
        return self.sender.account

    def _registry_arguments(self) -> list[Any]:
        links = [self.contracts["R1Token"], self.contracts["Rewards"]]
        return [self._account().address, *links, self.parameters.min_stake, self.parameters.unbonding_delay]

    def _read_file(self) -> None:
        self.block = self.sender.read(lambda: self.sender.w3.eth.block_number)
        if not self.path.exists():
            return
        known = Deployment.load(self.path)
        chain_id = self._chain_id()
        if known.chain_id != chain_id:
            raise ChainError(
                f"{self.path} describes chain {known.chain_id}, but this is chain {chain_id}",
                hint="give another --out file for this chain",
            )
        self.contracts = dict(known.contracts)
        self.block = min(self.block, known.block)

    def _ensure(self, name: str, arguments: Callable[[], list[Any]], after: Sequence[str]) -> None:
        """Keep the contract if it is there and everything it was made with still is; else deploy it."""
        artifact = Artifact.load(self.artifacts, name)
        code = self._code(self.contracts[name]) if name in self.contracts else b""
        if code and not any(earlier in self.deployed for earlier in after):
            self._require_same(artifact, code)
            return
        inputs = [entry["inputs"] for entry in load_abi(name) if entry["type"] == "constructor"]
        types = [parameter["type"] for parameters in inputs for parameter in parameters]
        receipt = self.sender.send(None, artifact.creation_code + encode(types, arguments()))
        address = self.sender.read(
            lambda: self.sender.w3.eth.get_transaction_receipt(receipt.tx_hash)  # type: ignore[arg-type]
        )["contractAddress"]
        if address is None:
            raise ChainError(f"the deployment of {name} has no address")
        self.contracts[name] = str(address)
        self.deployed.append(name)
        self._require_same(artifact, self._code(str(address)))
        self._save()

    def _adopt(self, parent: str, getter: str, name: str) -> None:
        """Note the address of a contract that another one made."""
        address = str(self._bound(parent).call(getter))
        self._require_same(Artifact.load(self.artifacts, name), self._code(address))
        self.contracts[name] = address

    def _require_same(self, artifact: Artifact, code: bytes) -> None:
        if not artifact.matches(code):
            raise ChainError(
                f"{artifact.name} on chain is not what this checkout compiles to",
                hint="use the checkout that deployed it, or another --out file for a new deployment",
            )

    def _check_links(self) -> None:
        """Every contract must point at the others of this deployment."""
        links = [
            ("NodeRegistry", "token", "R1Token"),
            ("NodeRegistry", "rewards", "Rewards"),
            ("Provenance", "settlement", "Settlement"),
            ("JobEscrow", "settlement", "Settlement"),
            ("JobEscrow", "rewards", "Rewards"),
            ("Rewards", "settlement", "Settlement"),
        ]
        for name, getter, target in links:
            found = self._bound(name).call(getter)
            if found != self.contracts[target]:
                raise ChainError(f"{name}.{getter} is {found}, not this deployment's {target}", hint="deploy anew")

    def _grant(self, name: str, role: str, account: str) -> None:
        contract, role_id = self._bound(name), keccak(role.encode())
        if not contract.call("hasRole", role_id, account):
            contract.send("grantRole", role_id, account)

    def _bound(self, name: str) -> BoundContract:
        return BoundContract(name, self.contracts[name], self.sender)

    def _code(self, address: str) -> bytes:
        return bytes(self.sender.read(lambda: self.sender.w3.eth.get_code(address)))  # type: ignore[arg-type]

    def _chain_id(self) -> int:
        return self.sender.read(lambda: self.sender.w3.eth.chain_id)

    def _save(self) -> Deployment:
        parameters: dict[str, int | str] = dict(asdict(self.parameters))
        found = Deployment(chain_id=self._chain_id(), contracts=self.contracts, block=self.block, parameters=parameters)
        found.save(self.path)
        return found


def deploy(
    rpc_url: str,
    account: LocalAccount,
    path: Path,
    *,
    artifacts: Path = Path("contracts/out"),
    parameters: Parameters | None = None,
    settlers: Sequence[str] = (),
    guardian: str | None = None,
) -> Deployment:
    """Deploy or complete a network and write its deployment file to `path`.

    `settlers` may propose epochs (default: the deploying account); `guardian` may pause settlement (the same default).
    """
    sender = open_sender(rpc_url, account)
    deployer = Deployer(sender, parameters or Parameters(), artifacts, path)
    return deployer.run(settlers or [account.address], guardian or account.address)


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m r1net.chain.deploy", description="Deploy the contracts.")
    parser.add_argument("--rpc", required=True, help="RPC URL of the chain")
    parser.add_argument("--key-file", required=True, type=Path, help="keystore of the deploying account")
    parser.add_argument("--out", required=True, type=Path, help="deployment file, read and written")
    parser.add_argument("--artifacts", type=Path, default=Path("contracts/out"), help="forge's output folder")
    parser.add_argument("--settler", action="append", default=[], help="address that may propose epochs (repeatable)")
    parser.add_argument("--guardian", help="address that may pause settlement")
    for name, value in asdict(Parameters()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help=f"default {value}")
    given = parser.parse_args()
    parameters = Parameters(**{name: getattr(given, name) for name in asdict(Parameters())})
    try:
        password = os.environ.get("R1_PASSWORD") or getpass.getpass(f"password of {given.key_file}: ")
        account = load_keystore(given.key_file, password)
        found = deploy(
            given.rpc,
            account,
            given.out,
            artifacts=given.artifacts,
            parameters=parameters,
            settlers=given.settler,
            guardian=given.guardian,
        )
    except R1Error as error:
        print(f"error: {error.message}" + (f"\n  next: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    print(found.model_dump_json(indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

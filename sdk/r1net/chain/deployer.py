"""The steps of a deployment: keep what is there and right, deploy what is missing, wire it, hand it to governance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from eth_utils.abi import collapse_if_tuple

from r1net.chain.artifacts import Artifact
from r1net.chain.contract import BoundContract
from r1net.chain.deployment import Deployment
from r1net.chain.parameters import Parameters
from r1net.chain.reasons import load_abi
from r1net.chain.registry import Registry
from r1net.chain.sender import Sender
from r1net.chain.token import Token
from r1net.chain.trust import code_hash
from r1net.errors import ChainError

ADMIN = bytes(32)
GOVERNED = ("Settlement", "NodeRegistry", "VerifierPool", "Disputes", "FraudProofs")
LINKS = [
    ("NodeRegistry", "token", "R1Token"),
    ("JobEscrow", "settlement", "Settlement"),
    ("JobEscrow", "rewards", "Rewards"),
    ("Rewards", "settlement", "Settlement"),
    ("Provenance", "settlement", "Settlement"),
    ("Provenance", "disputes", "Disputes"),
    ("VerifierPool", "registry", "NodeRegistry"),
    ("Disputes", "registry", "NodeRegistry"),
    ("Disputes", "settlement", "Settlement"),
    ("Disputes", "pool", "VerifierPool"),
    ("Disputes", "token", "R1Token"),
    ("FraudProofs", "registry", "NodeRegistry"),
    ("FraudProofs", "settlement", "Settlement"),
    ("FraudProofs", "provenance", "Provenance"),
    ("R1Governor", "token", "R1Token"),
    ("R1Governor", "registry", "NodeRegistry"),
    ("R1Governor", "timelock", "R1Timelock"),
]


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

    def run(self, settlers: Sequence[str], guardian: str, *, handover: bool) -> Deployment:
        """Deploy what is missing, wire it, verify all of it."""
        self.parameters.check()
        self._read_file()
        self._deploy_money()
        self._deploy_justice()
        self._check_links()
        self._wire(settlers, guardian)
        if self._account().address in settlers and "NodeRegistry" in self.deployed:
            self._stake_as_settler()
        if handover:
            self._hand_over()
        return self._save(code={name: code_hash(self._code(at)) for name, at in self.contracts.items()})

    def _deploy_money(self) -> None:
        me, given, at = self._account().address, self.parameters, self.contracts
        self._ensure("R1Token", lambda: [me, given.supply])
        self._ensure("Settlement", lambda: [me, given.challenge_window, given.close_grace])
        self._adopt("Settlement", "escrow", "JobEscrow")
        self._adopt("Settlement", "rewards", "Rewards")
        self._ensure(
            "NodeRegistry",
            lambda: [me, at["R1Token"], given.min_stake, given.unbonding_delay],
            after=("R1Token",),
        )

    def _deploy_justice(self) -> None:
        me, given, at = self._account().address, self.parameters, self.contracts
        self._ensure("VerifierPool", lambda: [me, at["NodeRegistry"], given.pool()], after=("NodeRegistry",))
        self._ensure(
            "Disputes",
            lambda: [me, at["NodeRegistry"], at["Settlement"], at["VerifierPool"], given.disputes()],
            after=("NodeRegistry", "Settlement", "VerifierPool"),
        )
        self._ensure("Provenance", lambda: [at["Settlement"], at["Disputes"]], after=("Settlement", "Disputes"))
        self._ensure(
            "FraudProofs",
            lambda: [me, at["NodeRegistry"], at["Settlement"], at["Provenance"], given.fraud_penalty],
            after=("NodeRegistry", "Settlement", "Provenance"),
        )
        self._ensure("R1Timelock", lambda: [given.timelock_delay, me])
        times = [given.voting_delay, given.voting_period]
        limits = [given.proposal_threshold, given.quorum_percent]
        self._ensure(
            "R1Governor",
            lambda: [at["R1Token"], at["NodeRegistry"], at["R1Timelock"], *times, *limits],
            after=("R1Token", "NodeRegistry", "R1Timelock"),
        )

    def _wire(self, settlers: Sequence[str], guardian: str) -> None:
        for judge in ("Disputes", "FraudProofs"):
            self._grant("NodeRegistry", "SLASHER_ROLE", self.contracts[judge])
            self._grant("Settlement", "DISPUTES_ROLE", self.contracts[judge])
        self._grant("NodeRegistry", "SLASHER_ROLE", self.contracts["VerifierPool"])
        for settler in settlers:
            self._grant("Settlement", "SETTLER_ROLE", settler)
        self._grant("Settlement", "GUARDIAN_ROLE", guardian)
        for role in ("PROPOSER_ROLE", "CANCELLER_ROLE"):
            self._grant("R1Timelock", role, self.contracts["R1Governor"])

    def _stake_as_settler(self) -> None:
        """Who proposes epochs has something to lose."""
        stake = max(self.parameters.settler_stake, self.parameters.min_stake)
        if self.parameters.settler_stake:
            token = Token(self.contracts["R1Token"], self.sender)
            Registry(self.contracts["NodeRegistry"], self.sender, token, self.block).register(stake)

    def _hand_over(self) -> None:
        """From here on only the timelock changes parameters and roles."""
        me, timelock = self._account().address, self.contracts["R1Timelock"]
        for name in (*GOVERNED, "R1Timelock"):
            contract = self._bound(name)
            if not contract.call("hasRole", ADMIN, timelock):
                contract.send("grantRole", ADMIN, timelock)
            if contract.call("hasRole", ADMIN, me):
                contract.send("renounceRole", ADMIN, me)

    def _account(self) -> LocalAccount:
        if self.sender.account is None:
            raise ChainError("deploying needs an account")
        return self.sender.account

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
        self.contracts.update(known.contracts)
        self.block = min(self.block, known.block)

    def _ensure(self, name: str, arguments: Callable[[], list[Any]], after: Sequence[str] = ()) -> None:
        """Keep the contract if it is there and everything it was made with still is; else deploy it."""
        artifact = Artifact.load(self.artifacts, name)
        code = self._code(self.contracts[name]) if name in self.contracts else b""
        if code and not any(earlier in self.deployed for earlier in after):
            self._require_same(artifact, code)
            return
        inputs = [entry["inputs"] for entry in load_abi(name) if entry["type"] == "constructor"]
        types = [collapse_if_tuple(parameter) for parameters in inputs for parameter in parameters]
        receipt = self.sender.send(None, artifact.creation_code + encode(types, arguments()))
        if receipt.contract is None:
            raise ChainError(f"the deployment of {name} has no address")
        self.contracts[name] = receipt.contract
        self.deployed.append(name)
        self._require_same(artifact, self._code(receipt.contract))
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
        for name, getter, target in LINKS:
            found = self._bound(name).call(getter)
            if found != self.contracts[target]:
                raise ChainError(f"{name}.{getter} is {found}, not this deployment's {target}", hint="deploy anew")

    def _grant(self, name: str, role: str, account: str) -> None:
        contract, role_id = self._bound(name), keccak(role.encode())
        if contract.call("hasRole", role_id, account):
            return
        if not contract.call("hasRole", ADMIN, self._account().address):
            raise ChainError(
                f"{account} lacks {role} on {name}, and this account may not grant it",
                hint="governance holds the admin role: propose grantRole through R1Governor",
            )
        contract.send("grantRole", role_id, account)

    def _bound(self, name: str) -> BoundContract:
        return BoundContract(name, self.contracts[name], self.sender)

    def _code(self, address: str) -> bytes:
        return bytes(self.sender.read(lambda: self.sender.w3.eth.get_code(address)))  # type: ignore[arg-type]

    def _chain_id(self) -> int:
        return self.sender.read(lambda: self.sender.w3.eth.chain_id)

    def _save(self, code: dict[str, str] | None = None) -> Deployment:
        parameters: dict[str, int | str] = dict(asdict(self.parameters))
        found = Deployment(
            chain_id=self._chain_id(),
            contracts=dict(self.contracts),
            block=self.block,
            parameters=parameters,
            code=code or {},
        )
        found.save(self.path)
        return found

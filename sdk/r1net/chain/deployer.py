"""The steps of a deployment: keep what is there and right, deploy what is missing, wire it, hand it to governance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
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
from r1net.chain.verify import ADMIN, NOBODY, check_parameters, check_roles, expected_roles, held_roles, name_of
from r1net.errors import ChainError

GOVERNED = ("Settlement", "NodeRegistry", "VerifierPool", "Disputes", "FraudProofs")
MADE_WITH = {
    "Settlement": ("NodeRegistry",),
    "NodeRegistry": ("R1Token",),
    "VerifierPool": ("NodeRegistry",),
    "Disputes": ("NodeRegistry", "Settlement", "VerifierPool"),
    "Provenance": ("Settlement", "Disputes"),
    "FraudProofs": ("NodeRegistry", "Settlement", "Provenance"),
    "Restitution": ("Settlement", "Provenance"),
    "R1Governor": ("R1Token", "NodeRegistry", "R1Timelock"),
}
"""Which contracts a contract was told at its construction, for good."""
LINKS = [
    ("Settlement", "registry", "NodeRegistry"),
    ("Settlement", "pool", "VerifierPool"),
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
    ("Restitution", "rewards", "Rewards"),
    ("Restitution", "registry", "NodeRegistry"),
    ("Restitution", "provenance", "Provenance"),
    ("Restitution", "disputes", "Disputes"),
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

    def run(self, settlers: Sequence[str], guardian: str, treasury: str, *, handover: bool) -> Deployment:
        """Deploy what is missing, wire it, verify all of it. Every step looks at the chain first, so that a run after a
        crash at any line goes on where the last one stopped."""
        self.parameters.check()
        self._read_file()
        self._deploy_money()
        self._deploy_justice()
        self._name_pool()
        self._check_links()
        check_parameters(self.parameters, self._bound)
        self._wire(settlers, guardian)
        self._equip(settlers, treasury)
        if handover:
            self._hand_over()
        admin = self.contracts["R1Timelock"] if handover else self._account().address
        check_roles(expected_roles(self.contracts, admin, settlers, guardian), self._bound, self.block)
        return self._save(code={name: code_hash(self._code(at)) for name, at in self.contracts.items()})

    def _deploy_money(self) -> None:
        me, given, at = self._account().address, self.parameters, self.contracts
        self._ensure("R1Token", lambda: [me, given.supply])
        self._ensure("NodeRegistry", lambda: [me, at["R1Token"], given.min_stake, given.unbonding_delay])
        times = [given.challenge_window, given.close_grace, given.cap_period]
        self._ensure("Settlement", lambda: [me, at["NodeRegistry"], *times, given.bond_terms()])
        self._adopt("Settlement", "escrow", "JobEscrow")
        self._adopt("Settlement", "rewards", "Rewards")

    def _deploy_justice(self) -> None:
        me, given, at = self._account().address, self.parameters, self.contracts
        self._ensure("VerifierPool", lambda: [me, at["NodeRegistry"], given.pool()])
        self._ensure(
            "Disputes", lambda: [me, at["NodeRegistry"], at["Settlement"], at["VerifierPool"], given.disputes()]
        )
        self._ensure("Provenance", lambda: [at["Settlement"], at["Disputes"]])
        self._ensure(
            "FraudProofs", lambda: [me, at["NodeRegistry"], at["Settlement"], at["Provenance"], given.fraud_penalty]
        )
        self._ensure("Restitution", lambda: [at["Settlement"], at["Provenance"]])
        self._ensure("R1Timelock", lambda: [given.timelock_delay, me])
        times = [given.voting_delay, given.voting_period]
        limits = [given.proposal_threshold, given.quorum_percent]
        self._ensure("R1Governor", lambda: [at["R1Token"], at["NodeRegistry"], at["R1Timelock"], *times, *limits])

    def _name_pool(self) -> None:
        settlement = self._bound("Settlement")
        if settlement.call("pool") == NOBODY:
            self._require_admin("Settlement", "the pool of jurors is not named")
            settlement.send("setPool", self.contracts["VerifierPool"])

    def _wire(self, settlers: Sequence[str], guardian: str) -> None:
        me, wanted = self._account().address, expected_roles(self.contracts, NOBODY, settlers, guardian)
        for (name, role), accounts in wanted.items():
            for account in sorted(accounts - {NOBODY}) if role != ADMIN else ():
                self._grant(name, role, account)
        # What an earlier run gave to contracts that were lost since is taken back, as long as that is ours to do.
        for (name, role), accounts in held_roles({name for name, _ in wanted}, self._bound, self.block).items():
            if role != ADMIN and self._bound(name).call("hasRole", ADMIN, me):
                for account in sorted(accounts - wanted.get((name, role), set())):
                    self._bound(name).send("revokeRole", role, account)

    def _equip(self, settlers: Sequence[str], treasury: str) -> None:
        """Give every settler something to lose, and the treasury all R1 that is left. Only before the handover: what
        a settler or the deploying account holds later is their own affair."""
        me, token = self._account().address, Token(self.contracts["R1Token"], self.sender)
        if not self._bound("Settlement").call("hasRole", ADMIN, me):
            return
        registry = Registry(self.contracts["NodeRegistry"], self.sender, token, self.block)
        for settler in settlers:
            if self.parameters.settler_stake and registry.stake_of(settler) == 0:
                registry.register_for(settler, self.parameters.settler_stake)
        if treasury != me and token.balance(me):
            token.transfer(treasury, token.balance(me))

    def _hand_over(self) -> None:
        """From here on only the timelock changes parameters and roles. Settlement is the last: while its admin is the
        deploying account, a run after a crash does what the last one left undone."""
        me, timelock = self._account().address, self.contracts["R1Timelock"]
        for name in ("R1Timelock", *reversed(GOVERNED)):
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

    def _ensure(self, name: str, arguments: Callable[[], list[Any]]) -> None:
        """Keep the contract if it is there; else deploy it, and forget all that were made with the one before."""
        artifact = Artifact.load(self.artifacts, name)
        code = self._code(self.contracts[name]) if name in self.contracts else b""
        if code:
            self._require_same(artifact, code)
            return
        self._forget(name)
        inputs = [entry["inputs"] for entry in load_abi(name) if entry["type"] == "constructor"]
        types = [collapse_if_tuple(parameter) for parameters in inputs for parameter in parameters]
        receipt = self.sender.send(None, artifact.creation_code + encode(types, arguments()))
        if receipt.contract is None:
            raise ChainError(f"the deployment of {name} has no address")
        self.contracts[name] = receipt.contract
        self._require_same(artifact, self._code(receipt.contract))
        self._save()

    def _forget(self, name: str) -> None:
        self.contracts.pop(name, None)
        for later, earlier in MADE_WITH.items():
            if name in earlier and later in self.contracts:
                self._forget(later)

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

    def _grant(self, name: str, role: bytes, account: str) -> None:
        contract = self._bound(name)
        if contract.call("hasRole", role, account):
            return
        self._require_admin(name, f"{account} lacks {name_of(role)} on {name}")
        contract.send("grantRole", role, account)

    def _require_admin(self, name: str, fault: str) -> None:
        if not self._bound(name).call("hasRole", ADMIN, self._account().address):
            raise ChainError(
                f"{fault}, and this account may not change that",
                hint="governance holds the admin role: propose grantRole (or what is missing) through R1Governor",
            )

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

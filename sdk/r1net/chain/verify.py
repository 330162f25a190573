"""Whether a deployment on chain is what it should be: exactly these role holders, exactly these parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from eth_hash.auto import keccak

from r1net.chain.contract import BoundContract
from r1net.chain.parameters import Parameters
from r1net.errors import ChainError

Bound = Callable[[str], BoundContract]
Roles = dict[tuple[str, bytes], set[str]]

ADMIN = bytes(32)
NOBODY = "0x" + "0" * 40
ROLES = (
    *("SETTLER_ROLE", "GUARDIAN_ROLE", "DISPUTES_ROLE", "RESTITUTION_ROLE", "SLASHER_ROLE"),
    *("PROPOSER_ROLE", "CANCELLER_ROLE", "EXECUTOR_ROLE"),
)


def role(name: str) -> bytes:
    """The id of a role."""
    return keccak(name.encode())


def name_of(role_id: bytes) -> str:
    """The name of a role that our contracts know; its hex else."""
    names = {role(name): name for name in ROLES} | {ADMIN: "DEFAULT_ADMIN_ROLE"}
    return names.get(role_id, "0x" + role_id.hex())


def expected_roles(at: Mapping[str, str], admin: str, settlers: Sequence[str], guardian: str) -> Roles:
    """Who holds which role of which contract, and nobody else. Anyone may execute what the timelock let ripen."""
    courts = {at["Disputes"], at["FraudProofs"]}
    roles: Roles = {
        ("NodeRegistry", role("SLASHER_ROLE")): courts | {at["Settlement"], at["VerifierPool"]},
        ("Settlement", role("DISPUTES_ROLE")): courts,
        ("Settlement", role("RESTITUTION_ROLE")): {at["Restitution"]},
        ("Settlement", role("SETTLER_ROLE")): set(settlers),
        ("Settlement", role("GUARDIAN_ROLE")): {guardian},
        ("R1Timelock", role("PROPOSER_ROLE")): {at["R1Governor"]},
        ("R1Timelock", role("CANCELLER_ROLE")): {at["R1Governor"]},
        ("R1Timelock", role("EXECUTOR_ROLE")): {NOBODY},
    }
    for name in ("Settlement", "NodeRegistry", "VerifierPool", "Disputes", "FraudProofs"):
        roles[name, ADMIN] = {admin}
    roles["R1Timelock", ADMIN] = {admin, at["R1Timelock"]}  # a timelock of OpenZeppelin's governs itself
    return roles


def held_roles(names: Collection[str], bound: Bound, first_block: int) -> Roles:
    """Who holds which role of these contracts now: of all to whom one was ever granted."""
    found: Roles = {}
    for name in names:
        contract = bound(name)
        for event in contract.logs("RoleGranted", from_block=first_block):
            if contract.call("hasRole", event["role"], event["account"]):
                found.setdefault((name, bytes(event["role"])), set()).add(event["account"])
    return found


def check_roles(expected: Roles, bound: Bound, first_block: int) -> None:
    """Compare what is held with what is expected. Raises ChainError at the first difference."""
    found = held_roles({name for name, _ in expected}, bound, first_block)
    for key in sorted(expected.keys() | found.keys()):
        want, have = expected.get(key, set()), found.get(key, set())
        for account in sorted(have - want):
            raise ChainError(
                f"{account} holds {name_of(key[1])} on {key[0]}, and nobody named it for that",
                hint="name it (--settler, --guardian), or have governance revoke the role",
            )
        for account in sorted(want - have):
            raise ChainError(
                f"{account} lacks {name_of(key[1])} on {key[0]}",
                hint="governance holds the admin role: propose grantRole through R1Governor",
            )


def check_parameters(given: Parameters, bound: Bound) -> None:
    """Compare every parameter on chain with what is wanted. Raises ChainError at the first difference."""
    for contract, getter, wanted in _wanted(given):
        found = _plain(bound(contract).call(getter))
        if found != wanted:
            raise ChainError(
                f"{contract}.{getter} is {found} on chain, not {wanted}",
                hint="pass the parameters of this deployment, or have governance change them",
            )


def _wanted(given: Parameters) -> list[tuple[str, str, Any]]:
    return [
        ("NodeRegistry", "minStake", given.min_stake),
        ("NodeRegistry", "unbondingDelay", given.unbonding_delay),
        ("Settlement", "challengeWindow", given.challenge_window),
        ("Settlement", "bondTerms", given.bond_terms()),
        ("JobEscrow", "closeGrace", given.close_grace),
        ("JobEscrow", "capPeriod", given.cap_period),
        ("VerifierPool", "parameters", given.pool()),
        ("Disputes", "parameters", given.disputes()),
        ("FraudProofs", "penalty", given.fraud_penalty),
        ("R1Timelock", "getMinDelay", given.timelock_delay),
        ("R1Governor", "votingDelay", given.voting_delay),
        ("R1Governor", "votingPeriod", given.voting_period),
        ("R1Governor", "proposalThreshold", given.proposal_threshold),
        ("R1Governor", "quorumNumerator()", given.quorum_percent),
    ]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value

"""Why a contract refused, in words. Errors come as 4-byte selectors and ABI data; here they become a sentence with
the next step, looked up in one table."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from r1net.errors import TransactionReverted

ABI_NAMES = ("R1Token", "NodeRegistry", "JobEscrow", "Settlement", "Rewards", "Provenance")

# error name -> (what happened, what to do); {fields} are the error's own parameters
WORDS: dict[str, tuple[str, str]] = {
    # token
    "ERC20InsufficientBalance": ("the account holds {balance} wei of the token, but {needed} are needed", "get more"),
    "ERC20InsufficientAllowance": ("the allowance is {allowance} wei, but {needed} are needed", "approve the spender"),
    "ERC2612ExpiredSignature": ("the permit expired at {deadline}", "sign a new one"),
    "ERC2612InvalidSigner": ("the permit was signed by {signer}, not by {owner}", "sign with the owner's key"),
    # roles
    "AccessControlUnauthorizedAccount": (
        "{account} lacks the role for this call",
        "use the account that holds it, or have governance grant the role",
    ),
    # registry
    "AlreadyRegistered": ("{owner} has a stake already", "use add_stake, or reactivate"),
    "NotRegistered": ("{owner} has no stake", "register first"),
    "StakeTooSmall": ("a stake of {stake} wei is below the minimum of {minimum}", "stake at least the minimum"),
    "StakeTooLarge": ("{amount} wei do not fit in 96 bits", "stake less"),
    "ProofExpired": ("the worker's signature expired at {deadline}", "sign again with a later deadline"),
    "WrongWorkerSignature": (
        "the worker's signature was made by {recovered}, not by {expected}",
        "sign for this owner, chain and present nonce with the worker's key",
    ),
    "WorkerTaken": ("worker {worker} acts for {owner} already", "unbind it there first, or use a fresh worker key"),
    "WorkerCoolingDown": ("worker {worker} left another owner; it is free at {until}", "wait, or use a fresh key"),
    "NotWorkerOwner": ("{caller} is not the owner of worker {worker}", "use the owner's account"),
    "AlreadyExiting": ("{owner} is leaving already", "wait for the unbonding delay, then withdraw"),
    "NotExiting": ("{owner} is not leaving", "deactivate first"),
    "StillUnbonding": ("the stake is bound until {exitAt}", "withdraw after that"),
    "NothingToWithdraw": ("{owner} has no free stake", "wait until the open disputes end"),
    # escrow
    "NotSubmitter": ("{caller} did not submit job {jobId}", "use the submitter's account"),
    "UnknownJob": ("there is no job {jobId} in this escrow", "check the id and the deployment"),
    "JobIsClosed": ("job {jobId} is closed", "create a new job"),
    "JobIsOpen": ("job {jobId} is open", "close it first"),
    "GraceNotOver": ("last settlements are possible until {refundableAt}", "ask for the refund after that"),
    "NothingToRefund": ("job {jobId} has nothing left to refund", "nothing to do"),
    "ZeroAmount": ("the amount is zero", "give an amount above zero"),
    "AmountTooLarge": ("{amount} is too large (128 bits for funds, 96 bits for the cap)", "use a smaller amount"),
    "UnsupportedToken": (
        "token {token} delivered {received} instead of {expected}",
        "use a token without transfer fees",
    ),
    "EpochCapExceeded": ("job {jobId}: {amount} exceeds the epoch cap of {epochCap}", "settle less in this epoch"),
    "InsufficientFunds": ("job {jobId}: {amount} wanted, {available} available", "top the job up, or settle less"),
    "NotReserved": ("job {jobId}: {amount} wanted, {reserved} reserved", "report this: books do not match"),
    "GasTooLow": ("too little gas was left for the token transfer", "send with a higher gas limit"),
    # settlement
    "WrongEpoch": ("epoch {epoch} was proposed, but {expected} is next", "propose {expected}"),
    "ZeroRoot": ("a root is zero", "build the tree first"),
    "JobsNotSorted": ("jobs are not in ascending order at {jobId}", "sort by id, each job once"),
    "TooManyJobs": ("{count} jobs in one epoch", "split the epoch"),
    "TooManyPending": ("{pending} epochs are pending", "finalise the oldest ones first"),
    "WrongContent": ("the content is not what was proposed as epoch {epoch}", "take it from the EpochProposed event"),
    "WrongStatus": ("epoch {epoch} is {status}", "check its state first"),
    "WindowOpen": ("the challenge window is open until {finalisableAt}", "finalise after that"),
    "WindowOver": ("the challenge window ended at {finalisableAt}", "challenges must come within the window"),
    "EpochIsFrozen": ("epoch {epoch} has {disputes} open disputes", "wait until they are decided"),
    "NotNext": ("epoch {next} must become final before {epoch}", "finalise {next} first"),
    "IsPaused": ("the guardian has paused settlement until {until}", "try again after that"),
    "PauseCoolingDown": ("the next pause is possible at {until}", "wait, or act through governance"),
    "ParameterOutOfBounds": ("the parameter is outside its bounds", "read the bounds in the contract"),
    "NotSettlement": ("only the settlement contract may do this", "go through Settlement"),
    # rewards, provenance
    "InvalidRewardProof": (
        "the proof for {account} over {cumulative} does not match the present root",
        "fetch a fresh proof from the coordinator; a newer epoch may be final",
    ),
    "UnknownContent": ("epoch {epoch} was not proposed with this content, or was rejected", "check the epoch's state"),
    "NoSuchJob": ("the epoch has no job at index {jobIndex}", "check the job id"),
}

_STATUS = ("unknown", "pending", "final", "rejected", "rejected and unwound")


class Reverted(TransactionReverted):
    """A contract's refusal. `name` is the Solidity error, `values` its parameters."""

    def __init__(self, name: str, values: dict[str, Any], message: str, hint: str | None) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.values = values


@cache
def load_abi(name: str) -> list[dict[str, Any]]:
    """A contract's ABI, shipped with this package."""
    abi: list[dict[str, Any]] = json.loads((files("r1net.chain") / "abi" / f"{name}.json").read_text())
    return abi


@cache
def _errors() -> dict[bytes, tuple[str, list[str], list[str]]]:
    """selector -> (name, parameter names, parameter types) of every error in the shipped ABIs."""
    table = {}
    for contract in ABI_NAMES:
        for entry in load_abi(contract):
            if entry["type"] == "error":
                types = [parameter["type"] for parameter in entry["inputs"]]
                selector = keccak(f"{entry['name']}({','.join(types)})".encode())[:4]
                table[selector] = (entry["name"], [parameter["name"] for parameter in entry["inputs"]], types)
    return table


def explain(data: bytes) -> Reverted:
    """Turn a revert's return data into an exception in words."""
    selector, body = data[:4], data[4:]
    try:
        if selector == bytes.fromhex("08c379a0"):
            return Reverted("Error", {}, f"the contract refused: {decode(['string'], body)[0]}", None)
        if selector == bytes.fromhex("4e487b71"):
            code = decode(["uint256"], body)[0]
            return Reverted(
                "Panic", {"code": code}, f"the contract failed (panic 0x{code:02x})", "report this as a bug"
            )
        if selector in _errors():
            name, names, types = _errors()[selector]
            return _in_words(name, dict(zip(names, decode(types, body), strict=True)))
    except DecodingError:
        pass
    shown = "0x" + data.hex() if data else "no data"
    return Reverted(
        "Unknown", {}, f"the contract refused without a known reason ({shown})", "check the deployment file"
    )


def _in_words(name: str, values: dict[str, Any]) -> Reverted:
    values = {key: "0x" + value.hex() if isinstance(value, bytes) else value for key, value in values.items()}
    if name not in WORDS:
        listed = ", ".join(f"{key}={value}" for key, value in values.items())
        return Reverted(name, values, f"the contract refused: {name}({listed})", None)
    shown = dict(values)
    if name == "WrongStatus":
        shown["status"] = _STATUS[values["status"]]
    message, hint = (text.format(**shown) for text in WORDS[name])
    return Reverted(name, values, message, hint)

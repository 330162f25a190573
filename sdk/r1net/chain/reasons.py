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
from eth_utils.address import to_checksum_address

from r1net.chain.words import WORDS
from r1net.errors import TransactionReverted

ABI_NAMES = (
    "R1Token",
    "NodeRegistry",
    "JobEscrow",
    "Settlement",
    "Rewards",
    "Provenance",
    "VerifierPool",
    "Disputes",
    "FraudProofs",
    "Restitution",
    "R1Timelock",
    "R1Governor",
)

# numbers of Solidity enums, by (error, parameter)
_ENUMS = {
    ("WrongStatus", "status"): ("unknown", "pending", "paid", "rejected", "rejected and unwound"),
    ("WrongPhase", "phase"): ("unknown", "open", "waiting for its draw", "voting", "decided", "resolved"),
}


class Reverted(TransactionReverted):
    """A contract's refusal. `name` is the Solidity error, `values` its parameters; `mined` tells that a transaction was
    spent on it, where else it was refused before anything was sent."""

    mined = False

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
            values = [_readable(kind, value) for kind, value in zip(types, decode(types, body), strict=True)]
            return _in_words(name, dict(zip(names, values, strict=True)))
    except DecodingError:
        pass
    shown = "0x" + data.hex() if data else "no data"
    return Reverted(
        "Unknown", {}, f"the contract refused without a known reason ({shown})", "check the deployment file"
    )


def _readable(kind: str, value: Any) -> Any:
    if kind == "address":
        return to_checksum_address(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _in_words(name: str, values: dict[str, Any]) -> Reverted:
    if name not in WORDS:
        listed = ", ".join(f"{key}={value}" for key, value in values.items())
        return Reverted(name, values, f"the contract refused: {name}({listed})", None)
    shown = {key: _ENUMS[name, key][value] if (name, key) in _ENUMS else value for key, value in values.items()}
    message, hint = (text.format(**shown) for text in WORDS[name])
    return Reverted(name, values, message, hint)

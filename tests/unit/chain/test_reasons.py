"""Every refusal of our contracts is explained in words, with the next step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak

from r1net.chain.reasons import ABI_NAMES, explain, load_abi
from r1net.chain.words import WORDS

ROOT = Path(__file__).resolve().parents[3]
SAMPLES: dict[str, Any] = {"address": "0x" + "11" * 20, "bytes32": b"\x22" * 32, "bytes4": b"\0" * 4, "string": "text"}


def own_errors() -> set[str]:
    """The errors that our interfaces declare (those of OpenZeppelin's that matter are in the table as well)."""
    sources = (ROOT / "contracts" / "src" / "interfaces").glob("*.sol")
    return {name for source in sources for name in re.findall(r"^    error (\w+)\(", source.read_text(), re.M)}


def abi_errors() -> dict[str, list[dict[str, str]]]:
    return {
        entry["name"]: entry["inputs"] for name in ABI_NAMES for entry in load_abi(name) if entry["type"] == "error"
    }


def sample(kind: str) -> Any:
    return SAMPLES.get(kind, 1)


def test_the_table_knows_every_error_of_ours() -> None:
    assert own_errors() - set(WORDS) <= {"BountyTooLarge"}  # cannot be caused from outside


def test_the_table_has_nothing_that_no_contract_raises() -> None:
    assert set(WORDS) <= set(abi_errors())


@pytest.mark.parametrize("name", sorted(WORDS))
def test_each_error_reads_as_a_sentence(name: str) -> None:
    inputs = abi_errors()[name]
    types = [parameter["type"] for parameter in inputs]
    data = keccak(f"{name}({','.join(types)})".encode())[:4] + encode(types, [sample(kind) for kind in types])
    error = explain(data)
    assert error.name == name
    assert set(error.values) == {parameter["name"] for parameter in inputs}
    assert error.hint
    assert "{" not in error.message


def test_plain_reverts_and_panics_are_explained() -> None:
    assert "because" in explain(bytes.fromhex("08c379a0") + encode(["string"], ["because"])).message
    assert "0x11" in explain(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11])).message


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xde\xad\xbe\xef", bytes.fromhex("08c379a0") + b"\xff" * 7])
def test_anything_else_is_shown_as_it_is(data: bytes) -> None:
    assert explain(data).name == "Unknown"

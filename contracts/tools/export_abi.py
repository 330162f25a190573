#!/usr/bin/env python3
"""Writes the ABIs that the Python bindings ship (sdk/r1net/chain/abi) from forge's output, or checks them.

tools/forge build && tools/export_abi.py            write
tools/forge build && tools/export_abi.py --check    exit 1 and name the files if one is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CONTRACTS = [
    "R1Token",
    "NodeRegistry",
    "JobEscrow",
    "Settlement",
    "Rewards",
    "Restitution",
    "Provenance",
    "VerifierPool",
    "Disputes",
    "FraudProofs",
    "R1Timelock",
    "R1Governor",
]
ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT.parent / "sdk" / "r1net" / "chain" / "abi"


def abi_text(name: str) -> str:
    """One line for each entry, so that a diff shows which function changed."""
    artifact = json.loads((ROOT / "out" / f"{name}.sol" / f"{name}.json").read_text())
    entries = [json.dumps(entry, sort_keys=True, separators=(",", ":")) for entry in artifact["abi"]]
    return "[\n" + ",\n".join(entries) + "\n]\n"


def main() -> int:
    """Write or check every ABI."""
    check = "--check" in sys.argv[1:]
    TARGET.mkdir(parents=True, exist_ok=True)
    stale = []
    for name in CONTRACTS:
        path = TARGET / f"{name}.json"
        text = abi_text(name)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text)
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run contracts/tools/export_abi.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

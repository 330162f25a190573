"""What forge compiled: read for deployment, and to check that the chain runs the same code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from r1net.errors import ChainError


@dataclass(frozen=True)
class Artifact:
    """One compiled contract. `immutables` are the (start, length) byte ranges that the constructor fills in."""

    name: str
    creation_code: bytes
    runtime_code: bytes
    immutables: tuple[tuple[int, int], ...]

    @classmethod
    def load(cls, folder: Path, name: str) -> Artifact:
        """Read `folder/<name>.sol/<name>.json`."""
        path = folder / f"{name}.sol" / f"{name}.json"
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise ChainError(f"no compiled {name} at {path}", hint="run: contracts/tools/forge build") from error
        deployed = document["deployedBytecode"]
        ranges = [
            (reference["start"], reference["length"])
            for references in deployed.get("immutableReferences", {}).values()
            for reference in references
        ]
        return cls(name, _code(document["bytecode"]["object"]), _code(deployed["object"]), tuple(sorted(ranges)))

    def matches(self, on_chain: bytes) -> bool:
        """Whether code on chain is this contract's, whatever its immutables are."""
        return len(on_chain) == len(self.runtime_code) and self._mask(on_chain) == self._mask(self.runtime_code)

    def _mask(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)


def _code(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))

"""Which contracts a network runs on: the file that the deploy script writes and everybody else reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from r1net.errors import ChainError
from r1net.protocol.canonical import Hash, canonical_bytes, sha256
from r1net.whole import write_whole


def _checksummed(value: str) -> str:
    if not is_checksum_address(value):
        raise ValueError("not a checksummed address")
    return value


class Deployment(BaseModel):
    """One network's contracts on one chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain_id: int = Field(ge=1)
    contracts: dict[str, Annotated[str, AfterValidator(_checksummed)]]
    block: int = Field(ge=0, description="no event of this network is older")
    parameters: dict[str, int | str] = Field(default_factory=dict, description="wei and seconds, as deployed")
    code: dict[str, Hash] = Field(default_factory=dict, description="keccak-256 of each contract's code on chain")

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Read a deployment file. Raises ChainError when it is missing or malformed."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ChainError(f"no deployment file at {path}", hint="ask the network's operator for it") from error
        except ValidationError as error:
            raise ChainError(f"{path} is not a deployment file: {error.errors()[0]['msg']}") from error

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_whole(path, self.model_dump_json(indent=2) + "\n", 0o644)

    def digest(self) -> str:
        """What a network is recognised by: SHA-256 over chain id, addresses and code."""
        parts = {"chain_id": self.chain_id, "contracts": self.contracts, "code": self.code}
        return sha256(canonical_bytes(parts))

    def address(self, name: str) -> str:
        """The address of a contract by its Solidity name."""
        try:
            return self.contracts[name]
        except KeyError:
            raise ChainError(f"this deployment has no {name}", hint="deploy it, or take a newer file") from None

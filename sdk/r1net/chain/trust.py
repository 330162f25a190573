"""Which network is the right one: what a coordinator names is held against what the host knows before anything is
approved or signed.

A network is recognised by its chain id, its contracts' addresses and the hashes of their code on chain: a `Deployment`
with `code`. Its `digest()` is short enough to be told out of band (the deploy script prints it). Whoever has the
operator's deployment file needs nothing else; whoever has the digest asks the coordinator for the addresses, reads the
code through an RPC endpoint of their own, and keeps the result as a file of the same format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from eth_hash.auto import keccak
from pydantic import ValidationError

from r1net.chain.deployment import Deployment
from r1net.errors import PreflightError, ProtocolError
from r1net.protocol.views import NetworkInfo

if TYPE_CHECKING:
    from r1net.chain.client import Chain
    from r1net.chain.sender import Sender


def code_hash(code: bytes) -> str:
    """The keccak-256 of a contract's code, as EXTCODEHASH gives it."""
    return "0x" + keccak(code).hex()


def named(info: NetworkInfo) -> Deployment:
    """The network that a coordinator names; nothing of it is checked but its form. Raises ProtocolError."""
    try:
        return Deployment(chain_id=info.chain_id, contracts=info.contracts, block=0)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(f"the coordinator names no usable network: {where}: {first['msg']}") from error


def with_code(chain: Chain) -> Deployment:
    """A connection's deployment with the hashes of the code that its chain has. Raises PreflightError when a contract
    isn't there."""
    return chain.deployment.model_copy(update={"code": _read(chain.sender, chain.deployment.contracts)})


def check_code(chain: Chain) -> None:
    """Raises PreflightError unless the chain has the code that the connection's deployment names (any, if it names
    none)."""
    known, found = chain.deployment.code, _read(chain.sender, chain.deployment.contracts)
    for name, digest in known.items():
        if found.get(name) != digest:
            raise PreflightError(
                f"{name} at {chain.deployment.contracts.get(name)} has other code than the network that you trust",
                hint="sign nothing before you know why: ask the network's operator, and check the RPC endpoint",
            )


def require_same(known: Deployment, info: NetworkInfo, source: str) -> None:
    """Raises PreflightError when a coordinator names another network than the known one, which `source` tells of."""
    if known.chain_id != info.chain_id or known.contracts != info.contracts:
        raise PreflightError(
            f"the coordinator names other contracts than {source}",
            hint="sign nothing for it before you know why; for another network use another data folder or file",
        )


def _read(sender: Sender, contracts: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, address in contracts.items():
        code = bytes(sender.read(lambda at=address: sender.w3.eth.get_code(at)))  # type: ignore[misc]
        if not code:
            raise PreflightError(
                f"there is no {name} at {address} on this chain", hint="check the RPC endpoint and the deployment file"
            )
        found[name] = code_hash(code)
    return found

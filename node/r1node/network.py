"""What a host knows of the network: its coordinator, its chain, its contracts."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment
from r1net.errors import PreflightError
from r1net.protocol.signing import Domain
from r1net.protocol.views import NetworkInfo
from r1net.transport import Transport
from r1node.settings import Settings


def network_info(settings: Settings) -> NetworkInfo:
    """The coordinator's description of the network. Raises Unreachable."""
    with Transport(settings.coordinator) as transport:
        return transport.get("/v1/network", NetworkInfo)


def deployment(settings: Settings, info: NetworkInfo) -> Deployment:
    """The contracts: from the host's own file where there is one, else as the coordinator names them.

    Raises PreflightError when the file and the coordinator speak of different networks.
    """
    if settings.deployment is None:
        return Deployment(chain_id=info.chain_id, contracts=info.contracts, block=0)
    trusted = Deployment.load(settings.deployment)
    if trusted.chain_id != info.chain_id or trusted.contracts != info.contracts:
        raise PreflightError(
            f"the coordinator names other contracts than {settings.deployment}",
            hint="don't sign anything for it before you know why",
        )
    return trusted


def connect_chain(settings: Settings, info: NetworkInfo, account: LocalAccount | None = None) -> Chain:
    """The network's chain, with the host's account where it is to send."""
    return Chain.connect(settings.rpc_url or info.rpc_url, deployment(settings, info), account)


def signing_domain(settings: Settings, info: NetworkInfo) -> Domain:
    """Where the worker's signatures hold."""
    contracts = deployment(settings, info)
    return Domain(chain_id=contracts.chain_id, registry=contracts.address("NodeRegistry"))

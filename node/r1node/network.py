"""What a host knows of the network: its coordinator, its chain, and the contracts that it has pinned.

Nothing is approved or signed before the network is known: by the operator's deployment file (`--deployment`), or by the
pin that `r1node trust` keeps in the data folder. A coordinator on this machine is believed the first time.
"""

from __future__ import annotations

import logging
from pathlib import Path

from eth_account.signers.local import LocalAccount

from r1net.chain import Chain, Deployment
from r1net.chain.trust import check_code, named, require_same, with_code
from r1net.errors import PreflightError, Unreachable
from r1net.protocol.signing import Domain
from r1net.protocol.views import NetworkInfo
from r1net.transport import Transport
from r1net.urls import is_loopback, require_tls
from r1node.settings import Settings

log = logging.getLogger(__name__)

ASKED_FOR = 5.0
"""Seconds for which a person at a prompt waits while the coordinator has no room for a question; `join` waits longer
(`r1node.patience`)."""


def network_info(settings: Settings) -> NetworkInfo:
    """The coordinator's description of the network. Raises Unreachable."""
    plain = settings.allow_plain_http
    with Transport(settings.coordinator, patience=ASKED_FOR, allow_plain_http=plain) as transport:
        return transport.get("/v1/network", NetworkInfo)


def pinned(settings: Settings, info: NetworkInfo) -> Deployment | None:
    """The contracts that the host knows the network by: from its deployment file, else from its pin, if it has one.

    Raises PreflightError when the coordinator names others.
    """
    known = _on_file(settings)
    if known is not None:
        require_same(known, info, str(_file(settings)))
    return known


def open_chain(settings: Settings, account: LocalAccount | None = None) -> Chain:
    """The network's chain, also while the coordinator is away, if the host has a pin and an endpoint of its own.
    Raises Unreachable where it takes the coordinator."""
    try:
        info = network_info(settings)
    except Unreachable:
        known = _on_file(settings)
        if known is None or settings.rpc_url is None:
            raise
        chain = Chain.connect(settings.rpc_url, known, account)
        check_code(chain)
        return chain
    return connect_chain(settings, info, account)


def open_domain(settings: Settings) -> Domain:
    """Where the network's signatures hold, also while the coordinator is away, if the host has a pin."""
    try:
        return signing_domain(settings, network_info(settings))
    except Unreachable:
        known = _on_file(settings)
        if known is None:
            raise
        return _domain(known)


def connect_chain(settings: Settings, info: NetworkInfo, account: LocalAccount | None = None) -> Chain:
    """The network's chain. With the host's account, which is to send, only through the host's own endpoint, and only
    where the code on chain is what the pin says. Raises PreflightError."""
    if account is None:
        return Chain.connect(_endpoint(settings, info), _known(settings, info, keep=False))
    known = _known(settings, info)
    if settings.rpc_url is None and not is_loopback(settings.coordinator):
        raise PreflightError("there is no chain endpoint of your own to send by", hint="set --rpc-url (or R1_RPC_URL)")
    chain = Chain.connect(_endpoint(settings, info), known, account)
    check_code(chain)
    return chain


def signing_domain(settings: Settings, info: NetworkInfo) -> Domain:
    """Where the worker's signatures hold: the pinned network. Raises PreflightError without one."""
    return _domain(_known(settings, info))


def _domain(contracts: Deployment) -> Domain:
    return Domain(chain_id=contracts.chain_id, registry=contracts.address("NodeRegistry"))


def _file(settings: Settings) -> Path:
    return settings.deployment.expanduser() if settings.deployment is not None else settings.pin_file


def _on_file(settings: Settings) -> Deployment | None:
    """The network that the host has chosen; None if it has none."""
    file = _file(settings)
    return None if settings.deployment is None and not file.exists() else Deployment.load(file)


def inspect(settings: Settings, info: NetworkInfo) -> Deployment:
    """What the coordinator names, with the code that the host's own endpoint reads at its addresses."""
    if settings.rpc_url is None and not is_loopback(settings.coordinator):
        raise PreflightError(
            "the coordinator's word can only be checked through a chain endpoint of your own",
            hint="set --rpc-url (or R1_RPC_URL)",
        )
    return with_code(Chain.connect(_endpoint(settings, info), named(info)))


def pin(settings: Settings, network: Deployment) -> None:
    """Know the network by this from now on."""
    network.save(settings.pin_file)


def _known(settings: Settings, info: NetworkInfo, keep: bool = True) -> Deployment:
    """The network that is trusted. At the first use, a coordinator on this machine is taken at its word, which is kept
    if `keep`."""
    found = pinned(settings, info)
    if found is not None:
        return found
    if not is_loopback(settings.coordinator):
        raise PreflightError(
            "nothing vouches for the contracts that this coordinator names",
            hint="get the network's digest from its operator, then: r1node trust --digest 0x…; or set --deployment",
        )
    if not keep:
        return named(info)
    network = inspect(settings, info)
    pin(settings, network)
    log.warning("pinned the network %s, as the coordinator on this machine names it", network.digest())
    return network


def _endpoint(settings: Settings, info: NetworkInfo) -> str:
    url = settings.rpc_url or info.rpc_url
    if url is None:
        raise PreflightError(
            "the coordinator publishes no chain endpoint, and there is none of your own",
            hint="set --rpc-url (or R1_RPC_URL)",
        )
    require_tls(url, settings.allow_plain_http)
    return url

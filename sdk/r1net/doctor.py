"""What a submitter needs before a job, checked: a wallet and what it holds, a network that is the right one and has
hosts, a model that is computed right. One check for each function, each with its fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from r1net.amounts import amount_of
from r1net.client import Client
from r1net.errors import R1Error, UsageError
from r1net.findings import Finding, Report
from r1net.jobs.pending import Pending
from r1net.local_files import path_of
from r1net.models import describe_model, own_precision, render_prompt, stop_tokens
from r1net.protocol.architectures import longest_sequence, require_supported
from r1net.protocol.model_files import check_config
from r1net.protocol.views import NodeView
from r1net.settings import Settings
from r1net.system import as_fault
from r1net.urls import is_loopback, redact

_FEW_OWNERS = 3
"""A check needs hosts of other owners than the one that it is about, and two of these must agree on what is bad."""


Check = Callable[[Settings, Client], Finding]


def examine(settings: Settings, model: Path | None = None) -> Report:
    """Run every check; one that breaks is a failure of its own. Without a coordinator what it would say is left out."""
    found: list[Finding] = []
    with settings.client() as client:
        for group in (_HERE, _THERE):
            found += [_run(check, settings, client) for check in group]
            if found[-1].verdict == "failure":
                break
    if model is not None:
        found.append(_model(model))
    return Report(found)


def _run(check: Check, settings: Settings, client: Client) -> Finding:
    try:
        return check(settings, client)
    except (R1Error, OSError) as error:
        fault = as_fault(error)
        return Finding(check.__name__, "failure", fault.message, fault.hint)


def wallet(settings: Settings, client: Client) -> Finding:
    """The account that pays: its key file, readable by nobody else, and the password that opens it."""
    if settings.key_file is None:
        fix = "set R1_KEY_FILE and R1_PASSWORD_FILE, or key_file and password_file in r1net.toml"
        return Finding("wallet", "failure", "no account is set: watching needs none, a job does", fix)
    return Finding("wallet", "ok", client.address)


def unfinished(_settings: Settings, client: Client) -> Finding:
    """Jobs that this machine has funded and nobody has announced."""
    waiting = [draft.job_id for draft in Pending(client.files.root / "pending") if draft.job_id is not None]
    if waiting:
        fix = f"go on: r1net announce {waiting[0]}; or give it up: r1net stop {waiting[0]}"
        return Finding("unfinished", "warning", f"funded, and not announced: {', '.join(waiting)}", fix)
    return Finding("unfinished", "ok", "no job waits to be announced")


def coordinator(settings: Settings, client: Client) -> Finding:
    """Whether it answers."""
    info = client.network
    words = f"{redact(settings.coordinator)} runs {info.software} on chain {info.chain_id}"
    return Finding("coordinator", "ok", words)


def network(settings: Settings, client: Client) -> Finding:
    """Whether its contracts are those that the submitter knows."""
    contracts = len(client.deployment.contracts)
    source = settings.deployment or "the coordinator on this machine, which is believed"
    return Finding("network", "ok", f"{contracts} contracts, as in {source}")


def chain(settings: Settings, client: Client) -> Finding:
    """Whether an endpoint of one's own serves that chain, with the contracts' code."""
    block = client.chain.head()
    own = settings.rpc_url or not is_loopback(settings.coordinator)
    return Finding("chain", "ok", f"{'an endpoint of your own' if own else 'the endpoint it names'}, at block {block}")


def funds(_settings: Settings, client: Client) -> Finding:
    """R1 for budgets, and the chain's own coin for gas."""
    account, held = client.address, client.chain.token.balance(client.address)
    if not client.chain.coin_balance(account):
        return Finding("funds", "failure", f"{account} has no coin to pay for gas", f"send some to {account}")
    if not held:
        return Finding("funds", "failure", f"{account} holds no R1", f"send some to {account}")
    return Finding("funds", "ok", f"{amount_of(held)}, and coin for gas")


def hosts(_settings: Settings, client: Client) -> Finding:
    """What computes now."""
    nodes = [one for one in client.transport.get_many("/v1/nodes", NodeView) if one.state == "active"]
    owners, busy = len({one.owner for one in nodes}), sum(one.doing is not None for one in nodes)
    words = f"{len(nodes)} active, of {owners} owners, {busy} at work"
    if not nodes:
        return Finding("hosts", "warning", "none is active: a job would wait", "wait for hosts, or join with one")
    if owners < _FEW_OWNERS:
        fix = "a job works; what it samples is checked by hosts of other owners, of which there are few"
        return Finding("hosts", "warning", words, fix)
    return Finding("hosts", "ok", words)


def _model(folder: Path) -> Finding:
    try:
        return _computable(path_of(folder))
    except (UsageError, OSError) as error:
        fault = as_fault(error)
        return Finding("model", "failure", fault.message, fault.hint)


def _computable(folder: Path) -> Finding:
    """Whether the network computes a model, as it will be told when a job is submitted."""
    described = describe_model(folder)
    config = check_config((folder / "config.json").read_bytes(), "config.json")
    family = require_supported(config)
    try:
        Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # tokenizers raises plain Exception for every fault of a file
        return Finding("model", "failure", f"tokenizer.json can't be used: {error}"[:300], "save a fast tokenizer")
    stops = stop_tokens(folder)
    render_prompt(folder)
    words = f"{described.name}: {family.title}; sequences up to {longest_sequence(config)} tokens"
    return Finding("model", "ok", f"{words}, {own_precision(folder)}, ends at {', '.join(map(str, stops))}")


_HERE: tuple[Check, ...] = (wallet, unfinished, coordinator)
_THERE: tuple[Check, ...] = (network, chain, funds, hosts)

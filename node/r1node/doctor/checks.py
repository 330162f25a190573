"""The checks, in the order in which a host would want to know."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime

import httpx
import psutil
import torch
from eth_account import Account

from r1net.chain.keystore import keystore_address, require_private
from r1net.cli.output import Amount
from r1net.errors import PreflightError, R1Error
from r1net.findings import Finding, Report
from r1net.protocol.session import MAX_SKEW
from r1net.system import as_fault
from r1net.urls import is_loopback, redact
from r1node.allocator import keep_memory, tcmalloc
from r1node.announcing import reach_of, way_out
from r1node.devices import pick_device
from r1node.kernels.build import library
from r1node.models.precision import has_fast_bf16
from r1node.network import connect_chain, network_info, pinned
from r1node.rollout.choice import choose
from r1node.sandbox import open_sandbox
from r1node.settings import Settings
from r1node.training.exact import require
from r1node.worker import first_stake, open_swarm

GIB = 2**30
Check = Callable[[Settings], Finding]


def examine(settings: Settings, quick: bool = False) -> Report:
    """Run every check, or those alone that take no time and speak against putting in a stake; one that breaks is a
    failure of its own, and the others still run."""
    return Report(list(_run(settings, QUICK if quick else CHECKS)))


def _run(settings: Settings, checks: tuple[Check, ...]) -> Iterator[Finding]:
    for check in checks:
        try:
            yield check(settings)
        except (R1Error, OSError) as error:
            fault = as_fault(error)
            yield Finding(check.__name__, "failure", fault.message, fault.hint)


def accelerator(settings: Settings) -> Finding:
    """What computes."""
    if torch.cuda.is_available():
        return Finding("accelerator", "ok", f"{torch.cuda.get_device_name()}, bf16")
    if has_fast_bf16("cpu"):
        return Finding("accelerator", "ok", "no GPU; CPU with native bf16")
    return Finding("accelerator", "warning", "no GPU; CPU in float32", "a CPU with AVX512-BF16 is 2–4× faster")


def arithmetic(settings: Settings) -> Finding:
    """Whether versions come out here as everywhere."""
    require()
    return Finding("arithmetic", "ok", "policy steps come out as on every machine")


def engine(settings: Settings) -> Finding:
    """What generates, and why."""
    device = pick_device(settings.device)
    choice = choose(settings, device)
    if choice.name == "vllm" and device == "cpu" and shutil.which("g++") is None:
        return Finding("engine", "failure", "vLLM compiles for CPUs with g++, which is missing", "install g++")
    return Finding("engine", "ok", f"{choice.name}: {choice.reason}")


def kernels(settings: Settings) -> Finding:
    """Whether the C kernels compile here; without them a CPU takes PyTorch's operators."""
    if pick_device(settings.device) != "cpu":
        return Finding("kernels", "ok", "not needed on a GPU")
    try:
        library("bf16" if has_fast_bf16("cpu") else "fp32")
    except PreflightError as error:
        return Finding("kernels", "warning", f"{error.message}; a CPU works at about half the speed", error.hint)
    return Finding("kernels", "ok", "compiled for this processor")


def memory(settings: Settings) -> Finding:
    """Free memory."""
    free = psutil.virtual_memory().available / GIB
    if free < 2:
        return Finding("memory", "failure", f"{free:.1f} GiB free", "free 2 GiB for the smallest models")
    if free < 6:
        return Finding("memory", "warning", f"{free:.1f} GiB free", "6 GiB leave room for 100M-parameter models")
    return Finding("memory", "ok", f"{free:.1f} GiB free")


def allocator(settings: Settings) -> Finding:
    """Whether freed memory is kept (`join` sets it by itself)."""
    missing = [name for name, value in keep_memory().items() if os.environ.get(name, value) != value]
    if missing:
        return Finding("allocator", "warning", f"{', '.join(missing)} set by hand", "unset them; `join` sets them")
    if tcmalloc() is None:
        return Finding("allocator", "ok", "`join` keeps freed memory; libtcmalloc-minimal4 would need less of it")
    return Finding("allocator", "ok", "`join` keeps freed memory, with tcmalloc")


def disk(settings: Settings) -> Finding:
    """Room for models and policy versions."""
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    if free < 2:
        return Finding("disk", "failure", f"{free:.1f} GiB free at {folder}", "free 2 GiB or set --data-dir")
    return Finding("disk", "ok", f"{free:.1f} GiB free at {folder}")


def keys(settings: Settings) -> Finding:
    """Key files: there, and readable by their owner alone."""
    for path in (settings.owner_keystore, settings.worker_keystore):
        if not path.exists():
            return Finding("keys", "failure", f"no key file at {path}", f"run: {settings.init_command}")
        require_private(path)
    return Finding("keys", "ok", f"wallet {keystore_address(settings.owner_keystore)}")


def sandbox(settings: Settings) -> Finding:
    """Start the sandbox for real: strangers' jobs are computed in it."""
    with closing(open_sandbox(settings)) as opened:
        layers = opened.start()
    if not layers:
        fix = "unset unsafe_no_sandbox and see what the doctor says then"
        return Finding("sandbox", "warning", "none, as set by hand: strangers' jobs may read your files and keys", fix)
    if "bubblewrap" not in layers:
        return Finding("sandbox", "ok", f"{', '.join(layers)}; bubblewrap would add a layer")
    return Finding("sandbox", "ok", ", ".join(layers))


def p2p_daemon(settings: Settings) -> Finding:
    """Start p2pd for real, with a throw-away identity, and ask it for its address."""
    started = time.monotonic()
    swarm = open_swarm(settings, Account.create())
    swarm.start()
    try:
        addresses = swarm.addresses()
    finally:
        swarm.stop()
    far = reach_of(addresses)
    where = ", ".join(address.split("/p2p/")[0] for address in addresses) or "no address"
    detail = f"p2pd up in {time.monotonic() - started:.1f} s; peers are told {where} ({_FAR[far]})"
    if far != "public":
        return Finding("p2p_daemon", "warning", detail, way_out(addresses))
    return Finding("p2p_daemon", "ok", f"{detail}; whether that works, peers try when it joins")


_FAR = {
    "loopback": "this machine only",
    "private": "the local network only, unless the router maps the port",
    "public": "public",
}
"""How far announced addresses lead."""


def coordinator(settings: Settings) -> Finding:
    """Whether the coordinator answers."""
    info = network_info(settings)
    return Finding("coordinator", "ok", f"{redact(settings.coordinator)} runs {info.software} on chain {info.chain_id}")


def network(settings: Settings) -> Finding:
    """Whether the coordinator's contracts are those that the host trusts."""
    known = pinned(settings, network_info(settings))
    if known is not None:
        return Finding("network", "ok", f"trusted by {settings.deployment or settings.pin_file}")
    if is_loopback(settings.coordinator):
        return Finding("network", "ok", "not pinned yet; `join` pins what the coordinator on this machine names")
    fix = "get the digest from its operator, then: r1node trust --digest 0x…"
    return Finding("network", "failure", "nothing vouches for the coordinator's contracts", fix)


def clock(settings: Settings) -> Finding:
    """Requests are signed with the time: the clocks must agree."""
    try:
        answer = httpx.get(f"{settings.coordinator.rstrip('/')}/healthz", timeout=10)
    except httpx.TransportError as error:
        return Finding("clock", "warning", f"not compared: {type(error).__name__}", "start or check the coordinator")
    if "date" not in answer.headers:
        return Finding("clock", "warning", "the coordinator sends no date", None)
    skew = abs(time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp())
    if skew > MAX_SKEW / 2:
        return Finding("clock", "failure", f"{skew:.0f} s off the coordinator's", "synchronise the clock (NTP)")
    return Finding("clock", "ok", f"{skew:.0f} s off the coordinator's")


def stake(settings: Settings) -> Finding:
    """Chain endpoint, coin for gas, stake."""
    chain = connect_chain(settings, network_info(settings))
    owner = keystore_address(settings.owner_keystore)
    if chain.coin_balance(owner) == 0:
        return Finding("stake", "failure", f"{owner} has no coin for gas", f"send some to {owner}")
    if chain.registry.is_active(owner):
        return Finding("stake", "ok", f"active with {Amount(chain.registry.stake_of(owner))}")
    if chain.registry.node(owner).exit_at:
        return Finding("stake", "failure", "leaving the network", "to stay after all: r1node leave --cancel")
    needed, held = first_stake(chain, settings), chain.token.balance(owner)
    if held < needed:
        return Finding("stake", "failure", f"holds {Amount(held)} and needs {Amount(needed)}", f"send R1 to {owner}")
    return Finding("stake", "ok", f"not staked yet; `join` will stake {Amount(needed)}")


CHECKS: tuple[Check, ...] = (
    accelerator,
    arithmetic,
    engine,
    kernels,
    memory,
    allocator,
    disk,
    keys,
    sandbox,
    p2p_daemon,
    coordinator,
    network,
    clock,
    stake,
)
QUICK: tuple[Check, ...] = (disk, keys, coordinator, network, clock, stake)

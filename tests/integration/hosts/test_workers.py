"""Workers' keys: listed, rotated, retired, whatever breaks off in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from r1net.chain import Chain, load_keystore
from r1net.chain.registry import Registry
from r1net.errors import ChainUnavailable, UsageError
from r1node.cli import workers
from r1node.events import Events
from r1node.worker import enrol
from tests.integration.hosts.host import Host


def test_a_rotated_key_acts_no_more_and_the_new_one_does(host: Host) -> None:
    old = host.worker.address
    assert host.ask("worker", "list") == [{"worker": "0", "address": old, "bound": True, "process": False}]
    changed = host.ask("worker", "rotate", "0")
    fresh = changed["address"]
    assert (changed["old_address"], Path(changed["old_key"]).name) == (old, f"key-{old}.json")
    registry = host.chain.registry
    assert (registry.owner_of(old), registry.owner_of(fresh)) == (None, host.owner.address)
    assert registry.accountable_for(old) == host.owner.address, "for its past work"
    assert host.ask("worker", "list") == [{"worker": "0", "address": fresh, "bound": True, "process": False}]
    assert registry.node(host.owner.address).workers == 1


@pytest.mark.parametrize("call", ["bind_worker", "unbind_worker", "rename"])
def test_a_rotation_that_breaks_off_goes_on(host: Host, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before either transaction, or between the two files."""

    real = os.replace

    def broken(*_: object) -> None:
        raise ChainUnavailable("gone")

    def replace(old: Path, new: Path) -> None:
        broken() if "next" in str(old) else real(old, new)

    with monkeypatch.context() as patch:
        if call == "rename":
            patch.setattr(workers.os, "replace", replace)  # type: ignore[attr-defined]
        else:
            patch.setattr(Registry, call, broken)
        with pytest.raises(ChainUnavailable):
            host.ask("worker", "rotate", "0")
    host.ask("worker", "rotate", "0")
    (row,) = host.ask("worker", "list")
    assert row["bound"]
    assert row["address"] != host.worker.address
    registry = host.chain.registry
    assert registry.owner_of(host.worker.address) is None
    assert registry.node(host.owner.address).workers == 1, "no key is bound twice, and none is left behind"


def test_a_retired_worker_is_gone_and_the_host_is_not(host: Host, chain: Chain) -> None:
    host.ask("worker", "retire", "0")
    assert chain.registry.owner_of(host.worker.address) is None
    assert host.ask("worker", "list") == host.ask("status")["workers"] == []
    assert chain.registry.is_active(host.owner.address)
    with pytest.raises(UsageError, match="no worker '0'"):
        host.ask("worker", "retire", "0")
    with pytest.raises(UsageError, match="no worker"):
        host.ask("worker", "rotate", "../..")


def test_a_rotated_worker_joins(host: Host) -> None:
    host.ask("worker", "rotate", "0")
    worker = load_keystore(host.worker_folder / "key.json", "correct horse")
    enrol(host.chain, host.settings, host.owner, worker, Events())

"""The nodes of the gallery: keys, stakes and processes, of honest hosts and of cheats."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from r1net import R1
from r1net.chain import Chain, Deployment
from r1net.chain.keystore import create_keystore
from r1node.settings import Settings
from tests.adversarial.network.catalogue import PARTNERS, Cheat
from tests.adversarial.network.nursery import Hatchling, Nursery
from tests.e2e.harness.network import QUICK_SCRYPT, Network
from tests.e2e.harness.processes import wait_until

BONDS = 2_000 * R1

LONGEST = 300.0
"""Seconds that a node may take to join on a busy machine."""


@dataclass(frozen=True)
class Node:
    """One process, its worker's address and its owner's wallet."""

    process: Hatchling
    owner: LocalAccount
    worker: str

    def wait(self) -> None:
        """Until it has joined. Raises RuntimeError when it ends before."""
        wait_until(self._joined, f"{self.process.name} to join", LONGEST)

    def _joined(self) -> bool:
        if not self.process.alive:
            raise RuntimeError(f"{self.process.name} ended:\n{self.process.said}")
        return "  joined " in self.process.said


class Crews:
    """Founds nodes in a network and starts them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._nursery = Nursery(network.logs)
        self._nodes: list[Node] = []

    def honest(self, name: str) -> Node:
        """An honest host of its own, starting."""
        owner, worker = self._owner(name), self._worker(name, "0")
        return self._start(name, None, name, "0", owner, worker, {})

    def of(self, cheat: Cheat) -> list[Node]:
        """The processes of a cheat, starting. Members of one owner share a wallet and a stake."""
        folders = [f"{cheat.name}-{member.owner}" for member in cheat.members]
        owners = {folder: self._owner(folder) for folder in dict.fromkeys(folders)}
        workers = [self._worker(folder, str(place)) for place, folder in enumerate(folders)]
        env = {PARTNERS: ",".join(workers)}
        return [
            self._start(f"{cheat.name}-{place}", member.rogue, folder, str(place), owners[folder], workers[place], env)
            for place, (member, folder) in enumerate(zip(cheat.members, folders, strict=True))
        ]

    def chain(self, account: LocalAccount) -> Chain:
        """The chain, with the account as the sender."""
        network = self._network
        return Chain.connect(network.anvil.url, Deployment.load(network.deployment_file), account)

    def look_around(self, folder: str, owner: LocalAccount) -> str:
        """Have a host's owner dispute what doesn't hold, once, with stake for as many bonds as it likes; what it says.
        Raises CalledProcessError."""
        self._network.chain.token.transfer(owner.address, BONDS)
        self.chain(owner).registry.add_stake(BONDS)
        done = subprocess.run(
            self._network.r1node(folder, "watch", "--once"), check=True, capture_output=True, text=True
        )
        return done.stderr

    def close(self) -> None:
        """End every process."""
        stop([node for node in self._nodes if node.process.alive])
        self._nursery.close()

    def _start(
        self,
        name: str,
        rogue: str | None,
        folder: str,
        worker_name: str,
        owner: LocalAccount,
        worker: str,
        env: dict[str, str],
    ) -> Node:
        options = ("--threads", "1", "--device", "cpu", "--worker", worker_name)
        command = self._network.r1node(folder, "join", *options)
        node = Node(self._nursery.hatch(name, rogue, command[1:], env), owner, worker)
        self._nodes.append(node)
        return node

    def _owner(self, folder: str) -> LocalAccount:
        """A wallet with gas and money for the least stake."""
        network = self._network
        settings = Settings(data_dir=network.folder / folder)
        owner = create_keystore(settings.owner_keystore, network.password_file.read_text(), iterations=QUICK_SCRYPT)
        network.anvil.fund(owner.address)
        network.chain.token.transfer(owner.address, network.chain.registry.min_stake())
        return owner

    def _worker(self, folder: str, name: str) -> str:
        settings = Settings(data_dir=self._network.folder / folder, worker=name)
        password = self._network.password_file.read_text()
        return create_keystore(settings.worker_keystore, password, iterations=QUICK_SCRYPT).address


def stop(nodes: Sequence[Node]) -> None:
    """End processes, by their numbers."""
    for node in nodes:
        node.process.stop()

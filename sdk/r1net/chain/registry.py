"""Owners, their stake, and the workers that act for them."""

from __future__ import annotations

import time
from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from r1net.chain.contract import BoundContract
from r1net.chain.identity import base58, public_key_of
from r1net.chain.models import NodeState, TxReceipt
from r1net.chain.sender import Sender
from r1net.chain.token import Token
from r1net.errors import ChainError

RECORD_GAS = 70_000
"""Gas beyond the estimate for records of votes: an estimate in the second of the last change overwrites them, the next
block adds to them."""
BINDING_LIFETIME = 3600
"""Seconds for which a worker's signature is good."""
_BIND_WORKER = {
    "BindWorker": [
        {"name": "owner", "type": "address"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}
_NOBODY = "0x" + "0" * 40


class Registry:
    """The NodeRegistry. Stake in wei of R1, times in Unix seconds."""

    def __init__(self, address: str, sender: Sender, token: Token, first_block: int) -> None:
        self.address = address
        self._contract = BoundContract("NodeRegistry", address, sender)
        self._sender = sender
        self._token = token
        self._first_block = first_block

    def register(self, stake: int, worker: LocalAccount | None = None) -> TxReceipt:
        """Put in a stake, approving it if need be, and bind the first worker in the same transaction."""
        self._approve(stake)
        if worker is None:
            return self._contract.send("register", stake)
        return self._contract.send("registerWithWorker", stake, self._proof(worker))

    def register_for(self, owner: str, stake: int) -> TxReceipt:
        """Give another account a stake, approving it if need be: it is that account's from then on."""
        self._approve(stake)
        return self._contract.send("registerFor", owner, stake)

    def add_stake(self, amount: int) -> TxReceipt:
        """Add to one's stake, approving it if need be."""
        self._approve(amount)
        return self._contract.send("addStake", amount, spare=RECORD_GAS)

    def bind_worker(self, worker: LocalAccount) -> TxReceipt:
        """Bind one more worker key to the account."""
        return self._contract.send("bindWorker", self._proof(worker))

    def unbind_worker(self, worker: str) -> TxReceipt:
        """End a worker's binding to the account."""
        return self._contract.send("unbindWorker", worker)

    def deactivate(self) -> TxReceipt:
        """Start to leave: inactive at once, the stake free after the unbonding delay."""
        return self._contract.send("deactivate")

    def reactivate(self) -> TxReceipt:
        """Stay after all."""
        return self._contract.send("reactivate")

    def withdraw(self) -> TxReceipt:
        """Take the stake back, after the unbonding delay and once none of it is locked."""
        return self._contract.send("withdraw", spare=RECORD_GAS)

    def is_active(self, owner: str) -> bool:
        """Whether an owner has at least the minimum stake, no debt, and is not leaving."""
        return bool(self._contract.call("isActive", owner))

    def owner_of(self, worker: str) -> str | None:
        """The owner that a worker acts for now; None if it is not bound."""
        owner = str(self._contract.call("ownerOf", worker))
        return None if owner == _NOBODY else owner

    def accountable_for(self, worker: str) -> str | None:
        """The owner that answers for a worker's past work, bound or not."""
        owner = str(self._contract.call("accountableFor", worker))
        return None if owner == _NOBODY else owner

    def stake_of(self, owner: str) -> int:
        """An owner's stake, its locked part included."""
        return self.node(owner).stake

    def node(self, owner: str) -> NodeState:
        """An owner's account."""
        stake, locked, exit_at, workers, debt = self._contract.call("nodeOf", owner)
        return NodeState(owner, stake, locked, exit_at, workers, debt, self.is_active(owner))

    def past_votes(self, owner: str, second: int) -> int:
        """The stake that an owner had at a past second: its votes, besides those of the R1 that it holds."""
        return int(self._contract.call("getPastVotes", owner, second))

    def min_stake(self) -> int:
        """The smallest stake of an active node."""
        return int(self._contract.call("minStake"))

    def unbonding_delay(self) -> int:
        """Seconds between deactivate and withdraw."""
        return int(self._contract.call("unbondingDelay"))

    def peer_id(self, worker: str) -> str | None:
        """The libp2p peer id of a worker, as it was emitted when the worker was last bound; None if it never was."""
        bound = self._contract.logs("WorkerBound", from_block=self._first_block, worker=worker)
        return base58(bound[-1]["peerId"]) if bound else None

    def _approve(self, amount: int) -> None:
        self._token.ensure_allowance(self._owner(), self.address, amount)

    def _owner(self) -> str:
        if self._sender.account is None:
            raise ChainError("this needs an account, but the connection is read-only", hint="pass account=…")
        return str(self._sender.account.address)

    def _proof(self, worker: LocalAccount) -> tuple[bytes, bytes, int, bytes]:
        _, nonce, _ = self._contract.call("workerOf", worker.address)
        deadline = int(time.time()) + BINDING_LIFETIME
        chain_time = self._sender.read(lambda: self._sender.w3.eth.get_block("latest"))["timestamp"]
        deadline = max(deadline, int(chain_time) + BINDING_LIFETIME)
        message = encode_typed_data(
            domain_data=binding_domain(self._chain_id(), self.address),
            message_types=_BIND_WORKER,
            message_data={"owner": self._owner(), "nonce": nonce, "deadline": deadline},
        )
        public_key = public_key_of(worker)
        return (public_key[:32], public_key[32:], deadline, bytes(worker.sign_message(message).signature))

    def _chain_id(self) -> int:
        return self._sender.read(lambda: self._sender.w3.eth.chain_id)


def binding_domain(chain_id: int, registry: str) -> dict[str, Any]:
    """The EIP-712 domain of the registry."""
    return {"name": "r1net NodeRegistry", "version": "1", "chainId": chain_id, "verifyingContract": registry}

"""R1, and any other ERC-20 by address."""

from __future__ import annotations

from r1net.chain.contract import BoundContract
from r1net.chain.models import TxReceipt
from r1net.chain.sender import Price, Sender


class Token:
    """Balances, allowances and transfers. Amounts in the token's smallest unit (wei)."""

    def __init__(self, address: str, sender: Sender) -> None:
        self.address = address
        self._contract = BoundContract("R1Token", address, sender)

    def balance(self, account: str) -> int:
        """What an account holds."""
        return int(self._contract.call("balanceOf", account))

    def decimals(self) -> int:
        """Digits behind the point, as the token's own contract says: only good for showing amounts to people."""
        return int(self._contract.call("decimals"))

    def allowance(self, owner: str, spender: str) -> int:
        """What a spender may still take from an owner."""
        return int(self._contract.call("allowance", owner, spender))

    def total_supply(self) -> int:
        """All tokens there are."""
        return int(self._contract.call("totalSupply"))

    def approve(self, spender: str, amount: int) -> TxReceipt:
        """Let a spender take up to `amount`."""
        return self._contract.send("approve", spender, amount)

    def transfer(self, to: str, amount: int) -> TxReceipt:
        """Send tokens."""
        return self._contract.send("transfer", to, amount)

    def transfer_price(self, to: str, amount: int, by: str) -> Price:
        """What `transfer` would take an account now."""
        return self._contract.sender.price(self.address, self._contract.encode("transfer", to, amount), by=by)

    def delegate(self, to: str) -> TxReceipt:
        """Give one's votes to an account; to oneself, to vote at all."""
        return self._contract.send("delegate", to)

    def votes(self, account: str) -> int:
        """Votes that an account holds now."""
        return int(self._contract.call("getVotes", account))

    def ensure_allowance(self, owner: str, spender: str, amount: int) -> None:
        """Approve exactly `amount` unless the allowance suffices already."""
        if self.allowance(owner, spender) < amount:
            self.approve(spender, amount)

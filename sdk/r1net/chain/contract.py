"""One contract at one address: typed modules build on these three calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from r1net.chain.models import TxReceipt
from r1net.chain.reasons import load_abi
from r1net.chain.sender import Sender
from r1net.errors import ChainError

if TYPE_CHECKING:
    from web3.contract import Contract


class BoundContract:
    """Calls and transactions of one contract, with refusals explained in words."""

    def __init__(self, name: str, address: str, sender: Sender) -> None:
        self.name = name
        self.address = address
        self.sender = sender
        self._contract: Contract = sender.w3.eth.contract(address=address, abi=load_abi(name))  # type: ignore[call-overload]

    def call(self, function: str, *args: Any, depth: int = 0) -> Any:
        """Read a view function, or try another one without sending it, on the state of `depth` blocks ago. One of
        several with the same name goes by its signature."""
        find = self._contract.get_function_by_signature if "(" in function else self._contract.get_function_by_name
        call = find(function)(*args)
        sender = {"from": self.sender.account.address} if self.sender.account else {}
        at: Any = self.sender.block_at(depth)
        return self.sender.read(lambda: call.call(sender, block_identifier=at))

    def send(self, function: str, *args: Any, value: int = 0, spare: int = 0) -> TxReceipt:
        """Send a transaction and wait for it. See `Sender.send`."""
        return self.sender.send(self.address, self.encode(function, *args), value=value, spare=spare)

    def encode(self, function: str, *args: Any) -> bytes:
        """The call data of a function."""
        return bytes.fromhex(self._contract.encode_abi(function, args)[2:])

    def events(self, receipt: TxReceipt, name: str) -> list[dict[str, Any]]:
        """The arguments of every event `name` of this contract in a receipt."""
        from web3.logs import DISCARD  # noqa: PLC0415

        own: Any = {"logs": [log for log in receipt.logs if log["address"] == self.address]}
        return [dict(log["args"]) for log in self._contract.events[name]().process_receipt(own, errors=DISCARD)]

    def event(self, receipt: TxReceipt, name: str) -> dict[str, Any]:
        """The arguments of the first event `name` of this contract in a receipt."""
        found = self.events(receipt, name)
        if not found:
            raise ChainError(f"transaction {receipt.tx_hash} has no event {name}", hint="check the deployment file")
        return found[0]

    def logs(self, name: str, *, from_block: int, to_block: int | None = None, **filters: Any) -> list[dict[str, Any]]:
        """Arguments of past events, oldest first; `filters` are indexed parameters."""
        last: Any = "latest" if to_block is None else to_block
        event = self._contract.events[name]()
        found = self.sender.read(lambda: event.get_logs(from_block=from_block, to_block=last, argument_filters=filters))
        return [dict(log["args"]) for log in found]

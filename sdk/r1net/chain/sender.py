"""Sending transactions: one locked nonce counter, fees, waiting, and reasons for refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from eth_account.signers.local import LocalAccount

from r1net.chain.models import TxReceipt, enhex
from r1net.chain.reasons import Reverted, explain
from r1net.errors import ChainError, ChainUnavailable

if TYPE_CHECKING:
    from web3 import Web3

T = TypeVar("T")

GAS_MARGIN = 1.25
"""Factor on the gas estimate: state may change between estimate and block."""
RETRIES = 5
FIRST_PAUSE = 0.2
"""Seconds before the first repetition after a connection error; doubles each time."""
RECEIPT_TIMEOUT = 120.0
"""Seconds to wait for a transaction to be mined."""
_STALE_NONCE = ("nonce too low", "replacement transaction underpriced", "nonce too high", "invalid nonce")
_KNOWN_ALREADY = ("already known", "already imported", "known transaction")


class Sender:
    """Sends transactions from one account. Safe to share between threads; use one for each account and process.

    Every step repeats only what may be repeated: reads, and the very same signed transaction, which the chain
    can include once only.
    """

    def __init__(self, w3: Web3, account: LocalAccount | None, *, timeout: float = RECEIPT_TIMEOUT) -> None:
        self.w3 = w3
        self.account = account
        self.timeout = timeout
        self._lock = threading.Lock()
        self._nonce: int | None = None

    def send(self, to: str | None, data: bytes, *, value: int = 0) -> TxReceipt:
        """Send one transaction (`to` None deploys) and wait until it is mined.

        Raises Reverted with the contract's reason, ChainUnavailable when the node does not answer, ChainError when
        it is not mined in time.
        """
        account = self._require_account()
        fields: dict[str, Any] = {"from": account.address, "data": enhex(data), "value": value}
        if to is not None:
            fields["to"] = to
        gas = self.read(lambda: self.w3.eth.estimate_gas(fields))  # type: ignore[arg-type]
        fields |= {"gas": int(gas * GAS_MARGIN), "chainId": self.read(lambda: self.w3.eth.chain_id)} | self._fees()
        tx_hash = self._broadcast(account, fields)
        return self._wait(tx_hash, fields)

    def read(self, action: Callable[[], T]) -> T:
        """Run a call that may be repeated; connection errors are retried, reverts explained."""
        from requests.exceptions import RequestException  # noqa: PLC0415
        from web3.exceptions import (  # noqa: PLC0415
            ContractLogicError,
            ContractPanicError,
            ProviderConnectionError,
            TransactionNotFound,
            Web3RPCError,
        )

        pause = FIRST_PAUSE
        for attempt in range(RETRIES):
            try:
                return action()
            except (RequestException, ProviderConnectionError, ConnectionError) as error:
                if attempt == RETRIES - 1:
                    raise ChainUnavailable(
                        f"the chain's RPC endpoint does not answer: {type(error).__name__}",
                        hint="check that the RPC URL is right and the node is up; then try again",
                    ) from error
                time.sleep(pause)
                pause *= 2
            except (ContractLogicError, ContractPanicError) as error:
                raise explain(_revert_data(error.data)) from error
            except TransactionNotFound:  # an RPC error to web3, an answer to us
                raise
            except Web3RPCError as error:
                raise _rpc_error(error) from error
        raise AssertionError("unreachable")

    def _require_account(self) -> LocalAccount:
        if self.account is None:
            raise ChainError("this needs an account, but the connection is read-only", hint="pass account=…")
        return self.account

    def _fees(self) -> dict[str, int]:
        """EIP-1559: the tip that the node suggests, and room for the base fee to double."""
        base = int(self.read(lambda: self.w3.eth.get_block("latest"))["baseFeePerGas"])
        tip = int(self.read(lambda: self.w3.eth.max_priority_fee))
        return {"maxFeePerGas": 2 * base + tip, "maxPriorityFeePerGas": tip}

    def _broadcast(self, account: LocalAccount, fields: dict[str, Any]) -> bytes:
        """Give the next nonce, sign and send, one at a time: `pending` counts from the node are wrong under load."""
        with self._lock:
            for _ in range(3):
                if self._nonce is None:
                    self._nonce = self.read(lambda: self.w3.eth.get_transaction_count(account.address, "pending"))
                signed = account.sign_transaction(fields | {"nonce": self._nonce})
                try:
                    self.read(lambda raw=signed.raw_transaction: self.w3.eth.send_raw_transaction(raw))  # type: ignore[misc]
                except Reverted:
                    raise
                except ChainUnavailable:
                    self._nonce = None  # it may have arrived or not: ask the chain next time
                    raise
                except ChainError as error:
                    text = str(error).lower()
                    if not any(phrase in text for phrase in _KNOWN_ALREADY) and not self._arrived(signed.hash):
                        self._nonce = None
                        if any(phrase in text for phrase in _STALE_NONCE):
                            continue  # another process used this account; nothing of ours was taken
                        raise
                self._nonce += 1
                return bytes(signed.hash)
        raise ChainError(
            f"the nonce of {account.address} keeps changing", hint="another process sends from this account; stop it"
        )

    def _arrived(self, tx_hash: bytes) -> bool:
        from web3.exceptions import TransactionNotFound  # noqa: PLC0415

        try:
            self.read(lambda: self.w3.eth.get_transaction(tx_hash))  # type: ignore[arg-type]
        except TransactionNotFound:
            return False
        return True

    def _wait(self, tx_hash: bytes, fields: dict[str, Any]) -> TxReceipt:
        from web3.exceptions import TimeExhausted  # noqa: PLC0415

        try:
            receipt = self.read(
                lambda: self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=self.timeout, poll_latency=0.05)  # type: ignore[arg-type]
            )
        except TimeExhausted as error:
            raise ChainError(
                f"transaction {enhex(tx_hash)} was not mined within {self.timeout:.0f} seconds",
                hint="it may still be: look it up before you send again",
            ) from error
        if receipt["status"] != 1:
            raise self._replay(fields, int(receipt["blockNumber"]))
        gas_used = int(receipt["gasUsed"])
        return TxReceipt(
            tx_hash=enhex(tx_hash),
            block=int(receipt["blockNumber"]),
            gas_used=gas_used,
            fee=gas_used * int(receipt["effectiveGasPrice"]),
            logs=tuple(receipt["logs"]),
            contract=receipt.get("contractAddress"),
        )

    def _replay(self, fields: dict[str, Any], block: int) -> Reverted:
        """A mined revert has no reason: run the call again on the state before its block, then on the block's."""
        call = {key: fields[key] for key in ("from", "to", "data", "value", "gas") if key in fields}
        for number in (block, block - 1):
            try:
                self.read(lambda at=number: self.w3.eth.call(call, at))  # type: ignore[misc,arg-type]
            except Reverted as reason:
                return reason
        return Reverted("Unknown", {}, "the transaction failed when it was mined, and passes now", "try again")


def _revert_data(data: Any) -> bytes:
    if isinstance(data, dict):
        data = data.get("data")
    if isinstance(data, str) and data.startswith("0x"):
        return bytes.fromhex(data[2:])
    return b""


def _rpc_error(error: Any) -> ChainError:
    """A JSON-RPC error that is no revert: the node's own words."""
    response = getattr(error, "rpc_response", None) or {}
    detail = response.get("error", {}) if isinstance(response, dict) else {}
    data = _revert_data(detail.get("data") if isinstance(detail, dict) else None)
    if data:
        return explain(data)
    message = detail.get("message", str(error)) if isinstance(detail, dict) else str(error)
    if "insufficient funds" in message.lower():
        return ChainError(f"the account cannot pay for gas: {message}", hint="send it some of the chain's own coin")
    return ChainError(f"the chain's RPC endpoint refused: {message}")

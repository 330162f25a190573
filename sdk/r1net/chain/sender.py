"""Sending transactions: estimating, fees, waiting, and reasons for refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from eth_account.signers.local import LocalAccount

from r1net.chain.fees import FEE_CAP, Fees, offer
from r1net.chain.models import TxReceipt, enhex
from r1net.chain.outbox import TRIES, Content, Entry, Outbox
from r1net.chain.reasons import Reverted, explain
from r1net.errors import ChainError, ChainUnavailable, TransactionPending
from r1net.urls import scrub

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
BUMP_AFTER = 30.0
"""Seconds after which a transaction that isn't mined is replaced by the same at a higher fee."""


@dataclass(frozen=True)
class Price:
    """What a transaction takes: its gas, and the most that it may cost in wei of the chain's coin. An account needs as
    much to send it, and pays less."""

    gas: int
    most: int


class Sender:
    """Sends transactions from one account. Safe to share between threads; use one for each account and process.

    Every step repeats only what may be repeated: reads, and transactions of one nonce, of which the chain can include
    one only. The same content sent again after ChainUnavailable or TransactionPending is the same transaction.
    """

    def __init__(
        self,
        w3: Web3,
        account: LocalAccount | None,
        *,
        timeout: float = RECEIPT_TIMEOUT,
        bump_after: float = BUMP_AFTER,
        fee_cap: int = FEE_CAP,
    ) -> None:
        self.w3 = w3
        self.account = account
        self.timeout = timeout
        self.bump_after = bump_after
        self.fee_cap = fee_cap
        self._outbox = Outbox(self)

    def send(self, to: str | None, data: bytes, *, value: int = 0, spare: int = 0) -> TxReceipt:
        """Send one transaction (`to` None deploys) and wait until it is mined. `spare` is gas beyond the estimate and
        its margin, for calls that cost more in the next block than in this one; what is not used costs nothing.

        Raises Reverted with the contract's reason, ChainUnavailable when the node does not answer, TransactionPending
        when it is not mined in time.
        """
        content = (to, data, value)
        for _ in range(TRIES):
            entry = self._outbox.resume(content) or self._post(content, spare)
            found = self._outbox.wait(entry, content)
            if found is not None:
                return self._result(*found, entry.fields)
        raise TransactionPending("other transactions take this one's place again and again", hint="try again")

    def price(self, to: str, data: bytes, *, value: int = 0, by: str) -> Price:
        """What a transaction of an account's would take now, without sending it."""
        fields: dict[str, Any] = {"from": by, "to": to, "data": enhex(data), "value": value}
        gas = self.read(lambda: self.w3.eth.estimate_gas(fields))  # type: ignore[arg-type]
        limit = int(gas * GAS_MARGIN)
        return Price(int(gas), limit * self.fees().most)

    def _post(self, content: Content, spare: int) -> Entry:
        account = self.require_account()
        self._outbox.begin()
        to, data, value = content
        fields: dict[str, Any] = {"from": account.address, "data": enhex(data), "value": value}
        if to is not None:
            fields["to"] = to
        gas = self.read(lambda: self.w3.eth.estimate_gas(fields))  # type: ignore[arg-type]
        fields |= {"gas": int(gas * GAS_MARGIN) + spare, "chainId": self.read(lambda: self.w3.eth.chain_id)}
        return self._outbox.post(content, fields, self.fees())

    def catch_up(self) -> None:
        """Wait until what an earlier process sent is mined, before anything is decided on what the chain says."""
        self._outbox.begin()

    def block_at(self, depth: int) -> int | Literal["latest"]:
        """The block that has `depth` blocks on top."""
        if depth == 0:
            return "latest"
        return max(0, int(self.read(lambda: self.w3.eth.block_number)) - depth)

    def fees(self) -> Fees:
        """What to offer for gas now."""
        base = int(self.read(lambda: self.w3.eth.get_block("latest"))["baseFeePerGas"])
        return offer(base, int(self.read(lambda: self.w3.eth.max_priority_fee)), self.fee_cap)

    def require_account(self) -> LocalAccount:
        """The account to send from. Raises ChainError on a read-only connection."""
        if self.account is None:
            raise ChainError("this needs an account, but the connection is read-only", hint="pass account=…")
        return self.account

    def read(self, action: Callable[[], T]) -> T:
        """Run a call that may be repeated; connection errors are retried, reverts explained."""
        from requests.exceptions import RequestException  # noqa: PLC0415
        from web3.exceptions import (  # noqa: PLC0415
            BadFunctionCallOutput,
            BadResponseFormat,
            ContractLogicError,
            ContractPanicError,
            ProviderConnectionError,
            TransactionNotFound,
            Web3Exception,
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
            except BadFunctionCallOutput as error:
                raise ChainError(
                    "a contract's answer can't be read: it is not there, or another one",
                    hint="check the deployment file, and that the endpoint has caught up with the chain",
                ) from error
            except (BadResponseFormat, ValueError, TypeError, AttributeError, KeyError) as error:
                if isinstance(error, Web3Exception) and not isinstance(error, BadResponseFormat):
                    raise  # a fault of the call's, not of the answer
                raise ChainUnavailable(
                    f"the chain's RPC endpoint sends what is no JSON-RPC answer: {type(error).__name__}",
                    hint="check the RPC URL: a gateway's page, or an endpoint of something else, looks like this",
                ) from error
        raise AssertionError("unreachable")

    def _result(self, tx_hash: bytes, receipt: Any, fields: dict[str, Any]) -> TxReceipt:
        if receipt["status"] != 1:
            reason = self._replay(fields, int(receipt["blockNumber"]))
            reason.mined = True
            raise reason
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
    message = scrub(str(detail.get("message", error) if isinstance(detail, dict) else error))
    if "insufficient funds" in message.lower():
        return ChainError(f"the account cannot pay for gas: {message}", hint="send it some of the chain's own coin")
    return ChainError(f"the chain's RPC endpoint refused: {message}")

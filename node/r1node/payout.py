"""Money on its way out of a host's wallet: looked at before it is sent, since nothing brings it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from r1net.amounts import DECIMALS
from r1net.chain import Chain, TxReceipt
from r1net.cli.output import Amount
from r1net.errors import ChainError, ChainUnavailable, TransactionPending, UsageError
from r1net.whole import write_whole
from r1node.amounts import checked_address, units


@dataclass(frozen=True)
class Payment:
    """A payment that can be made now. `gas` is the most that it may cost beside the amount, in wei of the coin."""

    to: str
    amount: Amount
    unit: str
    gas: int
    warning: str
    send: Callable[[], TxReceipt]


class Ledger:
    """The payment that was begun last, in a file: a call that was cut off may have sent it, and the same call again
    would send it twice."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def require_new(self, payment: Payment) -> None:
        """Raises UsageError for what was begun before and never came to an end that is known."""
        try:
            begun = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return
        if begun.pop("at", 0) and begun == self._entry(payment):
            raise UsageError(
                "the same was begun before, and may have been sent: that call was cut off",
                hint="look at the balances (`r1node wallet`), or at the account on chain; --again sends it anew",
            )

    @contextmanager
    def begun(self, payment: Payment) -> Iterator[None]:
        """While a payment is made. What the chain refuses was not sent."""
        write_whole(self._file, json.dumps({"at": time.time(), **self._entry(payment)}))
        try:
            yield
        except (ChainUnavailable, TransactionPending):
            raise
        except ChainError:
            self._file.unlink()
            raise
        self._file.unlink()

    @staticmethod
    def _entry(payment: Payment) -> dict[str, str]:
        return {"to": payment.to, "unit": payment.unit, "wei": str(payment.amount.wei)}


def plan(chain: Chain, owner: str, to: str, text: str) -> Payment:
    """What "80 R1", "all coin" or "5 0xTOKEN" to an address comes to. Raises UsageError where that makes no sense, and
    ChainError where the money isn't there."""
    _check_target(chain, owner, checked_address(to))
    number, _, unit = text.strip().partition(" ")
    unit = unit.strip()
    warning = " (a contract: is it made to hold this?)" if chain.has_code(to) else ""
    if unit == "coin":
        return _coin(chain, owner, to, number, warning)
    token = chain.token if unit == "R1" else chain.erc20(_token(text, unit))
    decimals = DECIMALS if unit == "R1" else token.decimals()
    held = token.balance(owner)
    wei = held if number == "all" else units(number, decimals)
    _require(owner, wei, Amount(held, "", decimals), unit)
    gas = token.transfer_price(to, wei, owner).most
    return Payment(to, Amount(wei, "", decimals), unit, gas, warning, lambda: token.transfer(to, wei))


def _coin(chain: Chain, owner: str, to: str, number: str, warning: str) -> Payment:
    held = chain.coin_balance(owner)
    gas = chain.sender.price(to, b"", by=owner).most
    wei = held - gas if number == "all" else units(number, DECIMALS)
    _require(owner, max(wei, 0) + gas, Amount(held, ""), "coin")
    return Payment(to, Amount(wei, ""), "coin", gas, warning, lambda: chain.send_coin(to, wei))


def _check_target(chain: Chain, owner: str, to: str) -> None:
    if to == owner:
        raise UsageError(f"{to} is this wallet itself")
    if int(to, 16) == 0:
        raise UsageError("what goes to the address zero is lost")
    names = {address: name for name, address in chain.deployment.contracts.items()}
    if to in names:
        raise UsageError(f"{to} is the network's {names[to]}: what is sent there is lost", hint="send it to an account")


def _token(text: str, unit: str) -> str:
    if not unit.startswith("0x"):
        raise UsageError(f"{text!r} is no amount", hint='write "80 R1", "0.1 coin", or "5 0xTOKEN"; "all R1" sends all')
    return checked_address(unit)


def _require(owner: str, wei: int, held: Amount, unit: str) -> None:
    if not 0 < wei <= held.wei:
        wanted = Amount(wei, "", held.decimals)
        raise ChainError(f"{owner} holds {held} {unit}, and {wanted} are wanted, gas included")

"""What an account has sent and doesn't know to be mined: one entry for each nonce, so that nothing is sent twice and
nothing queues behind a transaction that is stuck."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from r1net.chain.fees import Fees, higher
from r1net.chain.models import enhex
from r1net.errors import ChainError, ChainUnavailable, TransactionPending

if TYPE_CHECKING:
    from r1net.chain.sender import Sender

log = logging.getLogger("r1net.chain")

TRIES = 3
"""Nonces that are tried for one transaction: another process may take them."""
BUMPS = 100
"""Fee steps against a stuck transaction of unknown price, at most."""
KEPT = 256
"""Entries whose end nobody has asked for."""
FIRST_POLL, SLOWEST_POLL = 0.05, 0.5
"""Seconds between two looks for a receipt; they grow."""
SETTLING = 1.0
"""Seconds before a missing receipt is looked into."""
CATCHING_UP = 3.0
"""Seconds that an endpoint may lag behind what was mined."""
GONE_AFTER = 10.0
"""Seconds after which a used nonce without a receipt of ours was used by somebody else: endpoints behind one address
don't always agree."""
_STALE = ("nonce too low", "nonce too high", "invalid nonce")
_UNDERPRICED = ("underpriced", "less than block base fee", "fee cap less than")
_KNOWN = ("already known", "already imported", "known transaction")

Content = tuple[str | None, bytes, int]
"""Target, data and value: what a transaction does, whatever its nonce and fees."""


@dataclass(frozen=True)
class Signed:
    """One signed transaction of a nonce."""

    tx_hash: bytes
    raw: bytes
    content: Content


@dataclass
class Entry:
    """A nonce, and all that was ever signed for it: the chain includes one of them. `waited_for` while a caller waits
    for the newest; without one, another content may take the nonce."""

    nonce: int
    fees: Fees
    fields: dict[str, Any] = field(default_factory=dict)
    signed: list[Signed] = field(default_factory=list)
    waited_for: bool = False
    sent_at: float = 0.0

    @property
    def content(self) -> Content:
        """What the newest transaction does."""
        return self.signed[-1].content


class Outbox:
    """The nonces of one account. Safe to share between threads."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._lock = threading.Lock()
        self._next: int | None = None
        self._entries: dict[int, Entry] = {}

    def begin(self) -> None:
        """Know the next nonce, before anything is decided on what the chain says: what an earlier process left behind
        is mined then, or stuck."""
        with self._lock:
            if self._next is None:
                self._next = self._first()

    def resume(self, content: Content) -> Entry | None:
        """The entry of a transaction like this that was given up, or whose answer was lost: it is sent once more as it
        is, which the chain can't count twice."""
        with self._lock:
            for entry in self._entries.values():
                if entry.waited_for or all(signed.content != content for signed in entry.signed):
                    continue
                if entry.content == content or self._receipt(entry) is not None:
                    self._offer_again(entry)
                    entry.waited_for = True
                    return entry
        return None

    def post(self, content: Content, fields: dict[str, Any], fees: Fees) -> Entry:
        """Give a nonce, sign and send. What was given up makes room: its nonce is taken, at a higher fee."""
        with self._lock:
            for _ in range(TRIES):
                entry = self._abandoned() or Entry(self._take(), fees)
                at = higher(entry.fees, fees, self._sender.fee_cap) if entry.signed else fees
                self._entries[entry.nonce] = entry
                entry.fields = fields
                if self._offer(entry, content, at):
                    entry.waited_for = True
                    return entry
                self._forget_unsent(entry)
        raise ChainError(
            f"the nonce of {self._address} keeps changing", hint="another process sends from this account; stop it"
        )

    def wait(self, entry: Entry, content: Content) -> tuple[bytes, Any] | None:
        """Hash and receipt, once the entry's nonce is used; None when another content took it. A transaction that is
        stuck is replaced. Raises TransactionPending after the sender's `timeout`."""
        started = time.monotonic()
        pause, gone = FIRST_POLL, 0.0
        try:
            while (found := self._receipt(entry)) is None:
                now = time.monotonic()
                if now - started > self._sender.timeout:
                    raise _not_mined(entry, self._sender.timeout)
                if now - started > SETTLING and self._mined() > entry.nonce:
                    gone = gone or now
                    if now - gone > GONE_AFTER:
                        raise self._taken(entry)
                elif now - entry.sent_at > self._sender.bump_after:
                    self._bump(entry)
                time.sleep(pause)
                pause = min(1.3 * pause, SLOWEST_POLL)
        except BaseException:
            entry.waited_for = False
            raise
        signed, receipt = found
        with self._lock:  # one that was waited for to its end is never taken for one that was given up
            if signed.content == content:
                self._entries.pop(entry.nonce, None)
                return signed.tx_hash, receipt
            entry.waited_for = False
        return None  # kept, for whoever asks for it

    @property
    def _address(self) -> str:
        return str(self._sender.require_account().address)

    def _mined(self) -> int:
        return int(self._sender.read(lambda: self._sender.w3.eth.get_transaction_count(self._address, "latest")))  # type: ignore[arg-type]

    def _take(self) -> int:
        if self._next is None:
            self._next = self._first()
        else:
            self._next = self._taken_back(self._next)
        while self._next in self._entries:
            self._next += 1
        self._next += 1
        return self._next - 1

    def _taken_back(self, number: int) -> int:
        """The next nonce, or a lower one where the chain has taken transactions back and nobody sends them again: a gap
        would hold up whatever comes after. An endpoint that only lags behind gets a while to catch up."""
        deadline = time.monotonic() + CATCHING_UP
        while True:
            missing = set(range(self._pending(), number)) - set(self._entries)
            if not missing:
                return number
            if time.monotonic() > deadline:
                return min(missing)
            time.sleep(SLOWEST_POLL)

    def _pending(self) -> int:
        count = self._sender.w3.eth.get_transaction_count
        return int(self._sender.read(lambda: count(self._address, "pending")))  # type: ignore[arg-type]

    def _first(self) -> int:
        """The nonce to begin with. What another process of this account left behind gets a while to be mined; what is
        stuck even then is replaced."""
        deadline = time.monotonic() + self._sender.bump_after
        while True:
            pending = self._pending()
            unknown = set(range(self._mined(), pending)) - set(self._entries)
            if not unknown:
                return pending
            if time.monotonic() > deadline:
                return min(unknown)
            time.sleep(SLOWEST_POLL)

    def _abandoned(self) -> Entry | None:
        """The lowest entry that nobody waits for and that isn't mined."""
        given_up = sorted((entry for entry in self._entries.values() if not entry.waited_for), key=lambda e: e.nonce)
        if not given_up:
            return None
        mined = self._mined()
        for entry in [entry for entry in given_up if entry.nonce < mined][:-KEPT]:
            del self._entries[entry.nonce]
        return next((entry for entry in given_up if entry.nonce >= mined), None)

    def _offer(self, entry: Entry, content: Content, fees: Fees) -> bool:
        """Sign and send at these fees, or higher ones if the node wants them; False if the nonce is used up."""
        account = self._sender.require_account()
        for _ in range(BUMPS):
            signed = account.sign_transaction(entry.fields | fees.fields() | {"nonce": entry.nonce})
            made = Signed(bytes(signed.hash), bytes(signed.raw_transaction), content)
            before, entry.fees, entry.sent_at = entry.fees, fees, time.monotonic()
            entry.signed.append(made)  # before it is sent: the answer may be lost
            refusal = self._refusal(made)
            if refusal is None:
                return True
            entry.signed.remove(made)
            entry.fees = before
            text = str(refusal).lower()
            if any(phrase in text for phrase in _STALE):
                return False
            more = higher(fees, self._sender.fees(), self._sender.fee_cap)
            if more == fees or not any(phrase in text for phrase in _UNDERPRICED):
                self._forget_unsent(entry)
                raise refusal
            fees = more
        raise ChainError("the node wants ever higher fees", hint="look at the account's oldest transaction")

    def _refusal(self, made: Signed) -> ChainError | None:
        """Send; why the node doesn't take the transaction, None if it has it. Raises ChainUnavailable when that can't
        be known."""
        try:
            self._sender.read(lambda: self._sender.w3.eth.send_raw_transaction(made.raw))
        except ChainUnavailable:
            raise
        except ChainError as error:
            if any(phrase in str(error).lower() for phrase in _KNOWN) or self._arrived(made):
                return None
            return error
        return None

    def _arrived(self, made: Signed) -> bool:
        from web3.exceptions import TransactionNotFound  # noqa: PLC0415

        try:
            self._sender.read(lambda: self._sender.w3.eth.get_transaction(made.tx_hash))  # type: ignore[arg-type]
        except TransactionNotFound:
            return False
        return True

    def _offer_again(self, entry: Entry) -> None:
        """Send the newest transaction as it is. A refusal says that the node knows it, or that its nonce is used: the
        receipts tell."""
        refusal = self._refusal(entry.signed[-1])
        if refusal is not None:
            log.info("transaction %s: %s", enhex(entry.signed[-1].tx_hash), refusal)

    def _bump(self, entry: Entry) -> None:
        """Replace a stuck transaction by the same at a higher fee. At the cap it is sent again as it is."""
        with self._lock:
            fees = higher(entry.fees, self._sender.fees(), self._sender.fee_cap)
            entry.sent_at = time.monotonic()
            if fees == entry.fees:
                self._offer_again(entry)
                return
            try:
                self._offer(entry, entry.content, fees)
            except ChainUnavailable:
                raise
            except ChainError as error:  # the one before is still on its way
                log.warning("cannot replace transaction %s: %s", enhex(entry.signed[-1].tx_hash), error)

    def _forget_unsent(self, entry: Entry) -> None:
        """The node took nothing of this: the next nonce is asked for anew."""
        self._next = None
        if not entry.signed:
            self._entries.pop(entry.nonce, None)

    def _receipt(self, entry: Entry) -> tuple[Signed, Any] | None:
        from web3.exceptions import TransactionNotFound  # noqa: PLC0415

        for signed in reversed(entry.signed):
            try:
                receipt = self._sender.read(lambda at=signed.tx_hash: self._sender.w3.eth.get_transaction_receipt(at))  # type: ignore[misc]
            except TransactionNotFound:
                continue
            return signed, receipt
        return None

    def _taken(self, entry: Entry) -> TransactionPending:
        with self._lock:
            self._entries.pop(entry.nonce, None)
            self._next = None
        return TransactionPending(
            f"another transaction of {self._address} took nonce {entry.nonce}",
            hint="another process sends from this account; stop it, look what the chain has, and try again",
        )


def _not_mined(entry: Entry, seconds: float) -> TransactionPending:
    return TransactionPending(
        f"transaction {enhex(entry.signed[-1].tx_hash)} was not mined within {seconds:.0f} seconds",
        hint="it may still be; sending the same again takes it up",
    )

"""Settling: what jobs owe is proposed, and what is proposed is paid, each once, whatever fails in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import select

from r1coordinator.chain import ChainPort
from r1coordinator.settings import Settings
from r1coordinator.settlement import ledger
from r1coordinator.settlement.follower import Follower
from r1coordinator.settlement.planner import Planner
from r1coordinator.settlement.proposer import Proposer
from r1coordinator.store.database import Database
from r1coordinator.store.tables import EpochRow, LineRow
from r1net.chain import EpochState, TxReceipt
from r1net.errors import ChainError, ChainUnavailable, TransactionPending


class Settler:
    """Takes every step that the chain allows. One for each coordinator, in a thread of its own.

    The chain is read before anything is sent, so a step whose answer was lost is not taken twice; no transaction of
    the database is open while the chain is asked.
    """

    def __init__(
        self, db: Database, chain: ChainPort, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._db, self._chain, self._settings, self._clock = db, chain, settings, clock
        self._follower = Follower(db, chain, settings.depth(chain.chain_id()), settings.max_rejections)
        planner = Planner(db, chain, settings, self._follower, clock)
        self._proposer = Proposer(db, chain, self._follower, planner)
        self._failures = 0
        self._told: str | None = None

    def step(self) -> float:
        """Take every step that is possible now; returns the seconds to wait before the next look."""
        failed = False
        for stage in (self._follower.follow, self._unwind, self._finalise, self._proposer.propose_all):
            try:
                stage()
            except ChainError as error:
                failed = True
                self._told = str(error)
                ledger.tell(self._db, self._told)
                if isinstance(error, ChainUnavailable) or stage == self._follower.follow:
                    break  # without knowing where the chain is, nothing may be sent
        if self._told is not None and not failed:
            ledger.untell(self._db, self._told)
            self._told = None
        self._failures = self._failures + 1 if failed else 0
        return self._settings.settlement_pause(self._failures)

    def _unwind(self) -> None:
        """Give the reserves of rejected lines back to their jobs. One that can't be is no reason to stop."""
        with self._db.read() as s:
            numbers = s.scalars(select(LineRow.epoch).where(LineRow.state == "rejected").distinct()).all()
        for number in sorted(numbers):
            kept = self._follower.standing.get(number)
            if kept is not None and kept.rejected & ~kept.unwound:
                self._try(number, self._chain.unwind)

    def _finalise(self) -> None:
        """Pay the lines whose window is over, each epoch by itself."""
        for number, kept in sorted(self._follower.standing.items()):
            with self._db.read() as s:
                retry_at = s.get_one(EpochRow, number).retry_at
            reason, level = self._obstacle(kept)
            if reason is not None:
                ledger.note(self._db, number, reason, level)
            elif kept.payable() and retry_at <= self._clock():
                self._pay(number)

    def _obstacle(self, kept: EpochState) -> tuple[str | None, int]:
        """Why nothing of an epoch can be paid now, if there is more to say than that all of it was."""
        left = kept.finalisable_at - self._chain.now()
        if left > 0:
            return f"the challenge window is open for {left} s more, by the chain's clock", logging.DEBUG
        if kept.disputed and not kept.payable():
            return f"{kept.disputed.bit_count()} of its lines are disputed", logging.WARNING
        return None, logging.DEBUG

    def _pay(self, number: int) -> None:
        transaction = self._try(number, self._chain.finalise)
        kept = self._follower.standing.get(number)
        refused = len(kept.payable()) if kept is not None else 0
        with self._db.write() as s:
            row = s.get_one(EpochRow, number)
            row.finalise_tx = transaction or row.finalise_tx
            row.tries = row.tries + 1 if refused else 0
            row.retry_at = self._clock() + self._settings.settlement_pause(row.tries) if refused else 0.0
        if refused and transaction is not None:
            ledger.note(self._db, number, f"{refused} of its lines can't be paid: their tokens refuse the transfer")

    def _try(self, number: int, send: Callable[[int], TxReceipt]) -> str | None:
        """Send something for one epoch; its transaction, or None where it was refused: that is told, and stops no
        other."""
        try:
            transaction = send(number).tx_hash
        except (ChainUnavailable, TransactionPending):
            raise
        except ChainError as error:
            ledger.note(self._db, number, str(error))
            return None
        self._follower.look(number)
        return transaction

"""Settling: what jobs owe is proposed, and what is proposed becomes final, each once, whatever fails in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from r1coordinator.chain import ChainPort
from r1coordinator.settings import Settings
from r1coordinator.settlement import ledger
from r1coordinator.settlement.follower import Follower
from r1coordinator.settlement.planner import Planner
from r1coordinator.settlement.proposer import Proposer
from r1coordinator.store.database import Database
from r1coordinator.store.tables import EpochRow
from r1net.chain import EpochStatus
from r1net.errors import ChainError, ChainUnavailable


class Settler:
    """Takes every step that the chain allows. One for each coordinator, in a thread of its own.

    The chain is read before anything is sent, so a step whose answer was lost is not taken twice; no transaction of
    the database is open while the chain is asked.
    """

    def __init__(
        self, db: Database, chain: ChainPort, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._db, self._chain, self._settings = db, chain, settings
        depth = settings.depth(chain.chain_id())
        self._follower = Follower(db, chain, depth, settings.max_rejections)
        self._proposer = Proposer(db, chain, self._follower, Planner(db, chain, settings, depth, clock))
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
                unknown = isinstance(error, ChainUnavailable) or stage == self._follower.follow
                if unknown or stage != self._finalise:
                    self._told = str(error)
                    ledger.tell(self._db, self._told)
                if unknown:
                    break  # without knowing where the chain is, nothing may be sent
        if self._told is not None and not failed:
            ledger.untell(self._db, self._told)
            self._told = None
        self._failures = self._failures + 1 if failed else 0
        pause = self._settings.settlement_poll_seconds * 2 ** min(self._failures, 20)
        return float(min(pause, self._settings.settlement_backoff_max_seconds))

    def _unwind(self) -> None:
        """Give the reserves of rejected epochs back to their jobs. One that can't be is no reason to stop."""
        with self._db.read() as s:
            rows = ledger.epochs(s, ("rejected",))
        for row in rows:
            try:
                if self._chain.epoch(row.epoch).status == EpochStatus.REJECTED:
                    self._chain.unwind(row.epoch)
                self._follower.look(row.epoch)
            except ChainUnavailable:
                raise
            except ChainError as error:
                ledger.note(self._db, row.epoch, str(error))

    def _finalise(self) -> None:
        """Make the oldest pending epochs final, as far as their windows are over: the contract wants them in order."""
        with self._db.read() as s:
            rows = ledger.epochs(s, ("proposed",))
        for row in rows:
            kept = self._chain.epoch(row.epoch)
            if kept.status == EpochStatus.FINALISED:
                continue
            left = kept.finalisable_at - self._chain.now()
            if kept.status != EpochStatus.PENDING or kept.disputes or left > 0:
                if kept.disputes:
                    ledger.note(self._db, row.epoch, f"{kept.disputes} disputes hold the epoch")
                elif left > 0:
                    reason = f"the challenge window is open for {left} s more, by the chain's clock"
                    ledger.note(self._db, row.epoch, reason, logging.DEBUG)
                return
            self._send_final(row)

    def _send_final(self, row: EpochRow) -> None:
        try:
            transaction = self._chain.finalise(row.epoch).tx_hash
        except ChainError as error:
            ledger.note(self._db, row.epoch, str(error))
            raise
        with self._db.write() as s:
            s.get_one(EpochRow, row.epoch).finalise_tx = transaction
        self._follower.look(row.epoch)

"""The terms on which a host works, checked by itself: its floors, and a job's escrow over its own chain connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from r1net.chain import JobState
from r1net.errors import ChainError, ChainUnavailable, R1Error
from r1net.prices import Floors, price_of
from r1net.protocol.job import JobView

CHECK_AGAIN = 60.0
"""Seconds after which a job that was found good is looked at again."""


class Unfit(R1Error):
    """A job that this host doesn't work for. `code` is `underpaid` or `unfunded`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Terms:
    """What a host asks of a job. `escrow` reads a job's account on chain."""

    floors: Floors
    escrow: Callable[[str], JobState]
    _passed: dict[str, float] = field(default_factory=dict)

    def due(self, job_id: str) -> bool:
        """Whether it is time to check the job."""
        return time.monotonic() > self._passed.get(job_id, float("-inf")) + CHECK_AGAIN

    def check(self, view: JobView) -> None:
        """Raises Unfit, and ChainUnavailable where a job that was never checked can't be checked now."""
        price = price_of(view.spec)
        if price.times_floor(self.floors) is None:
            offer = f"{min(price.rollout, price.trained)} wei of {view.spec.payment_token} a token"
            raise Unfit("underpaid", f"the job pays {offer}, which is below what this host takes")
        try:
            account = self.escrow(view.job_id)
        except ChainUnavailable:
            if view.job_id in self._passed:
                return
            raise
        except ChainError as error:
            raise Unfit("unfunded", f"the escrow doesn't know the job: {error.message}") from error
        fault = fault_of(view, account)
        if fault is not None:
            self._passed.pop(view.job_id, None)
            raise Unfit("unfunded", f"the job's escrow does not stand for it: {fault}")
        self._passed[view.job_id] = time.monotonic()


def fault_of(view: JobView, account: JobState) -> str | None:
    """Why the escrow's job isn't good for this work; None when it is."""
    faults = {
        "it is for another specification": account.spec_digest.lower() != view.spec.digest(),
        "it pays in another token": account.token.lower() != view.spec.payment_token.lower(),
        "it is closed": account.closed_at != 0,
        "it holds less than the budget": account.funded - account.refunded < view.spec.budget,
        "nothing is left in it": account.available == 0,
    }
    return next((words for words, found in faults.items() if found), None)

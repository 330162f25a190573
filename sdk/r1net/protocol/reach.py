"""Whether peers can reach a worker. Nobody is believed about its own addresses: the coordinator has workers of other
owners dial them, and who is dialled proves by a signature of its worker key that it was there.

The proof can be made by the dialled worker alone, so that a dialler can't make anybody reachable; and the word of one
dialler that it reached nobody counts little, so that it can't make anybody unreachable either.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from r1net.protocol.canonical import Hash, Message, Signature

MOST_DIALLED = 4
"""Addresses that one order may name."""

ReachState = Literal["unknown", "reachable", "unreachable"]


class DialOrder(Message):
    """Dial a worker at these addresses, each by itself, until it answers at one of them for the nonce."""

    id: str
    worker: str
    peer_id: str
    maddrs: tuple[str, ...] = Field(min_length=1, max_length=MOST_DIALLED)
    nonce: Hash


class DialReport(Message):
    """Body of POST /v1/dials/{id}: what came of an order. "declined": the addresses are none that this host dials for
    others. `proof` is EIP-712 `Dialled(address worker, bytes32 nonce)`, signed by the worker that was reached at
    `maddr`."""

    id: str
    outcome: Literal["reached", "failed", "declined"]
    maddr: str | None = None
    proof: Signature | None = None

    @model_validator(mode="after")
    def _proven(self) -> DialReport:
        if (self.outcome == "reached") != (self.maddr is not None) or (self.maddr is None) != (self.proof is None):
            raise ValueError("an address and a proof come with `reached`, and with nothing else")
        return self


class Reach(Message):
    """What is known of a worker's being reached. `peers` and `failed` are the owners whose workers reached it, or
    didn't, in the last check; `own`: for want of others, its own owner's workers dialled."""

    state: ReachState = "unknown"
    peers: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    maddrs: tuple[str, ...] = Field(default=(), description="where it was reached")
    own: bool = False
    checked_at: float | None = Field(default=None, description="Unix seconds of the last check's end")

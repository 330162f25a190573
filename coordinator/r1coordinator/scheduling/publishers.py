"""Rules of publishing: a version with a majority counts once its files can be had from two places, the coordinator's
store and a trainer that has proved that it holds them: by uploading them, or by a salted digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from r1net.protocol.canonical import Address, sha256

OrderState = Literal["open", "kept", "done", "broken"]
"""`kept`: a proof that waits for the upload, to be compared with it."""


@dataclass(frozen=True)
class Order:
    """A publish lease. `proof`: it asks for a proof of possession rather than for the files."""

    worker: Address
    proof: bool
    state: OrderState


@dataclass(frozen=True)
class Holder:
    """A trainer that reported the version."""

    worker: Address
    owner: Address
    live: bool


@dataclass(frozen=True)
class Next:
    """What is to be done now: whom to ask for the files, whom for a proof; or nothing more (`done`); or it `failed`."""

    upload: Address | None = None
    proof: Address | None = None
    done: bool = False
    failed: bool = False


def step(holders: Sequence[Holder], orders: Sequence[Order], seed: str) -> Next:
    """One uploads, another one proves; who breaks an order is replaced by the next. The store and the uploader are
    places enough when nobody is left to prove."""
    uploads = [order for order in orders if not order.proof]
    asked = {order.worker for order in orders}
    broken = {order.worker for order in orders if order.state == "broken"}
    at_it = {order.worker for order in orders if order.state != "broken"}
    owners = {holder.owner for holder in holders if holder.worker in at_it}
    upload = proof = None
    if all(order.state == "broken" for order in uploads):
        left = [holder for holder in holders if holder.worker not in broken]
        if not left:
            return Next(failed=True)
        upload = _pick(left, asked, set(), seed)
        owners |= {holder.owner for holder in left if holder.worker == upload}
    proofs = [order for order in orders if order.proof and order.state != "broken"]
    if not proofs:
        free = [holder for holder in holders if holder.worker not in asked and holder.worker != upload]
        proof = _pick(free, set(), owners, seed) if free else None
    waiting = upload or proof or any(order.state in ("open", "kept") for order in orders)
    return Next(upload, proof, done=not waiting)


def _pick(holders: Sequence[Holder], asked: set[Address], owners: set[Address], seed: str) -> Address:
    """A live one that wasn't asked yet, of an owner that isn't at it already, if there is one."""

    def rank(holder: Holder) -> tuple[bool, bool, bool, str]:
        draw = sha256(f"{seed}/{holder.worker.lower()}".encode())
        return not holder.live, holder.worker in asked, holder.owner in owners, draw

    return min(holders, key=rank).worker

"""A host's stake: what it answers for, and how it comes back.

All that is known of a host's leaving is on chain: whatever breaks off, the next call goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from r1net.chain import Chain, NodeState, Reverted, TxReceipt
from r1net.chain.disputes import DisputeState
from r1net.errors import PreflightError
from r1node.locks import exclusive, request_stop, withdraw_request

LOOK = 0.5
"""Seconds between two looks whether a worker has stopped."""
_PARTS = {"accused": "against this owner", "challenger": "opened by this owner", "juror": "with this owner as a juror"}
_NOT_YET = ("StillUnbonding", "StakeIsLocked")
"""Refusals of a stake that a new dispute holds since it was looked at."""
Note = Callable[[str, str], None]


@dataclass(frozen=True)
class Exit:
    """When a stake may go: at `at` (Unix seconds of the chain) by the unbonding delay, and once nothing of `held_by`
    holds it."""

    at: int
    held_by: tuple[str, ...]
    due: bool


@contextmanager
def stopped_workers(folders: Sequence[Path], note: Note) -> Iterator[None]:
    """While no worker of these folders runs, nor can be started. A running one is asked to stop and waited for: it
    finishes its task."""
    try:
        with ExitStack() as stack:
            for folder in folders:
                request_stop(folder)
            for folder in folders:
                _enter(stack, folder, note)
            yield
    finally:
        for folder in folders:
            withdraw_request(folder)


def _enter(stack: ExitStack, folder: Path, note: Note) -> None:
    told = False
    while True:
        try:
            return stack.enter_context(exclusive(folder))
        except PreflightError:
            if not told:
                note("drain", f"worker {folder.name!r} runs: it finishes its task and takes no more; waiting for it")
            told = True
        request_stop(folder)  # a worker that was started anew meanwhile has taken the first one for an old one
        sleep(LOOK)


def depart(chain: Chain, owner: str, note: Note) -> NodeState:
    """Start to leave, unless that is done: judge no more, then become inactive."""
    if chain.pool.contains(owner):  # first: who is drawn while he leaves has to stay longer
        _once(chain.pool.quit, "NotInPool")
        note("jury", "left the pool of jurors")
    if chain.registry.node(owner).exit_at == 0:
        _once(chain.registry.deactivate, "AlreadyExiting")
        note("deactivated", "the host takes part in nothing new from now on")
    return chain.registry.node(owner)


def way_out(chain: Chain, node: NodeState) -> Exit:
    """When the stake of a host that is leaving may go."""
    held = tuple(_holds(chain, node.owner)) if node.locked else ()
    if node.locked and not held:
        held = ("a bond for an epoch that isn't final",)
    return Exit(node.exit_at, held, due=not node.locked and chain.now() >= node.exit_at)


def take_back(chain: Chain, owner: str) -> int:
    """The whole stake into the owner's wallet, if it may go: how much that was, in wei of R1, else 0."""
    if chain.pool.releasable_from(owner) == 0:
        _once(lambda: chain.pool.release(owner), "NotReleasable")
    node = chain.registry.node(owner)
    if node.stake == 0 or not way_out(chain, node).due:
        return 0
    return 0 if _once(chain.registry.withdraw, "NotRegistered") in _NOT_YET else node.stake


def _once(send: Callable[[], TxReceipt], done: str) -> str | None:
    """Send what must happen once; it is no error that a transaction of an earlier call, which broke off, has done it,
    or that it became too early meanwhile. Returns why it was refused."""
    try:
        send()
    except Reverted as refusal:
        if refusal.name not in {done, *_NOT_YET}:
            raise
        return refusal.name
    return None


def _holds(chain: Chain, owner: str) -> Iterator[str]:
    for state, part in chain.disputes.involving(owner):
        yield f"dispute {state.dispute_id} {_PARTS[part]} ({_phase(state)})"
    if chain.pool.contains(owner):
        yield "the pool of jurors"
    elif (block := chain.pool.releasable_from(owner)) is not None:
        yield f"the pool of jurors until block {block} (now {chain.head()})"


def _phase(state: DisputeState) -> str:
    return state.phase.name.lower()

"""How much of the service one caller may take up, and all of them together.

A caller is a remote address until a signature says which worker it is. Everything here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CapacityLimiter
from starlette.types import Scope

from r1coordinator.settings import Settings
from r1net.errors import Refused

_PAUSE = 2.0
"""Seconds after which a caller who was turned away is told to come again."""
_REMEMBERED = 10_000
_WAITS = 4
"""Requests for work that one worker may have waiting: one is enough, unless it hung up unheard."""
_IPV6_SITE = 64
_SCORING_THREADS = 16


def caller_address(scope: Scope) -> str:
    """The remote address; of IPv6 the site's prefix, since one site has as many addresses as it likes."""
    host = str((scope.get("client") or ("unknown", 0))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, _IPV6_SITE), strict=False))


class Tally:
    """What goes on at this moment, in all and for each caller. `what` names it in refusals."""

    def __init__(self, what: str, each: int, total: int) -> None:
        self._what, self._each, self._total = what, each, total
        self._of: Counter[str] = Counter()
        self._all = 0

    @contextmanager
    def hold(self, caller: str, amount: int = 1) -> Iterator[None]:
        """Count for as long as it lasts. Refused with 429 beyond the caller's share, with 503 beyond everybody's."""
        if self._of[caller] + amount > self._each:
            raise busy(429, f"too {self._what} at once from you; at most {self._each}")
        if self._all + amount > self._total:
            raise busy(503, f"too {self._what} at once")
        self._of[caller] += amount
        self._all += amount
        try:
            yield
        finally:
            self._all -= amount
            self._of[caller] -= amount
            if not self._of[caller]:
                del self._of[caller]


class Room:
    """Bytes of memory for bodies. Who finds no room waits for it, first come, first served."""

    def __init__(self, size: int, patience: float) -> None:
        self._free, self._patience = size, patience
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> None:
        """Refused with 503 when there is no room within the room's patience."""
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:  # the time is over, or the request is: what was given meanwhile goes back
            if turn.done() and not turn.cancelled():
                self._free += amount
            elif entry in self._waiting:
                self._waiting.remove(entry)
            self._call()
            if isinstance(error, TimeoutError):
                raise busy(503, "no memory is free for the body") from None
            raise

    def give(self, amount: int) -> None:
        """Free what was taken."""
        self._free += amount
        self._call()

    def _call(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= amount
                turn.set_result(None)


class Buckets:
    """A token bucket for each caller: `per_minute` in the long run, a quarter of that at once."""

    def __init__(self, per_minute: float) -> None:
        self._rate, self._size = per_minute / 60, max(1.0, per_minute / 4)
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Refused with 429 when the caller's bucket is empty."""
        now = asyncio.get_running_loop().time()
        left, since = self._kept.pop(caller, (self._size, now))
        left = min(self._size, left + (now - since) * self._rate)
        short = left < 1
        self._kept[caller] = (left if short else left - 1, now)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        if short:
            raise busy(429, "too many unsigned requests from you", after=(1 - left) / self._rate)


def busy(status: int, detail: str, after: float = _PAUSE) -> Refused:
    """The refusal of a request for which there is no room now; worth another try after some seconds."""
    code = "too_many_requests" if status == 429 else "busy"
    return Refused(code, detail, status=status, hint="wait, then try again", retry_after=after)


class Uploads:
    """Blobs on their way: how many, how many bytes, and each of them once from the same caller."""

    def __init__(self, settings: Settings) -> None:
        self._many = Tally("many uploads", settings.uploads_per_caller, settings.max_uploads)
        self._bytes = Tally("many bytes of uploads", settings.upload_bytes // 4, settings.upload_bytes)
        self._same = Tally("many uploads of this blob", 1, settings.max_uploads)

    @contextmanager
    def hold(self, caller: str, sha256: str, size: int) -> Iterator[None]:
        """Count an upload for as long as it lasts."""
        with self._many.hold(caller), self._bytes.hold(caller, size), self._same.hold(f"{caller} {sha256}"):
            yield


@dataclass
class Limits:
    """Every limit of the service. Sizes come from the settings; shares of them are fixed here."""

    settings: Settings
    requests: Tally = field(init=False)
    workers: Tally = field(init=False)
    polls: Tally = field(init=False)
    waits: Tally = field(init=False)
    bodies: Tally = field(init=False)
    grants: Tally = field(init=False)
    jobs: Tally = field(init=False)
    models: Uploads = field(init=False)
    versions: Uploads = field(init=False)
    unsigned: Buckets = field(init=False)
    unsigned_room: Room = field(init=False)
    signed_room: Room = field(init=False)
    checking: CapacityLimiter = field(init=False)
    """Of the threads that check wallets' signatures: it is Python's own arithmetic, and two would only share one."""

    scoring: CapacityLimiter = field(init=False)
    """Of the threads that wait for the sandbox: whatever it is given to do, others keep theirs."""

    def __post_init__(self) -> None:
        """Make them."""
        given = self.settings
        self.requests = Tally("many requests", given.requests_per_caller, given.max_requests)
        self.workers = Tally("many signed requests", max(1, given.requests_per_caller // 4), given.max_requests)
        self.polls = Tally("many long polls", max(1, given.requests_per_caller // 2), given.max_requests)
        self.waits = Tally("many requests for work", _WAITS, given.max_requests)
        self.bodies = Tally("many large bodies", 2, 64)
        self.grants = Tally("many session grants", 16, 64)
        self.jobs = Tally("many submissions of jobs", 4, 16)
        self.models, self.versions = Uploads(given), Uploads(given)
        self.unsigned = Buckets(given.posts_per_minute)
        self.unsigned_room = Room(given.body_memory_bytes // 8, given.body_patience_seconds)
        self.signed_room = Room(given.body_memory_bytes, given.body_patience_seconds)
        self.checking = CapacityLimiter(1)
        self.scoring = CapacityLimiter(_SCORING_THREADS)

"""Counting, room, buckets, caches and questions to the chain: each has its bound."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.api.limits import Buckets, Room, Tally, caller_address
from r1coordinator.lookups import Askers, Lookup
from r1coordinator.registrations import Registration, Registrations
from r1coordinator.store.cache import ByteCache
from r1net.errors import ChainUnavailable, Refused
from tests.unit.coordinator.chain import FakeChain


def test_a_tally_counts_for_each_and_in_all() -> None:
    tally = Tally("much", each=2, total=3)
    with tally.hold("a"), tally.hold("a"):
        with pytest.raises(Refused) as own, tally.hold("a"):
            pass
        with tally.hold("b"), pytest.raises(Refused) as everybody, tally.hold("c"):
            pass
        with tally.hold("b"):
            pass
    with tally.hold("a", 2):
        pass
    assert (own.value.status, everybody.value.status) == (429, 503)
    assert own.value.retry_after
    assert everybody.value.retry_after


def test_a_caller_is_an_address_or_a_site() -> None:
    addresses = [caller_address({"client": (host, 1)}) for host in ("10.0.0.1", "2001:db8::1", "2001:db8::ffff:1")]
    assert addresses == ["10.0.0.1", "2001:db8::/64", "2001:db8::/64"]
    assert caller_address({"client": ("testclient", 1)}) == "testclient"
    assert caller_address({"client": None}) == "unknown"


def test_who_finds_no_room_waits_in_turn_or_is_turned_away() -> None:
    async def scene() -> list[str]:
        room, order = Room(10, patience=0.2), []

        async def body(name: str, amount: int, seconds: float) -> None:
            try:
                await room.take(amount)
            except Refused as refusal:
                order.append(f"{name} {refusal.status}")
                return
            order.append(name)
            await asyncio.sleep(seconds)
            room.give(amount)

        async with asyncio.TaskGroup() as tasks:
            for name, amount, seconds in (("a", 8, 0.05), ("b", 10, 0.4), ("c", 1, 0), ("d", 11, 0)):
                tasks.create_task(body(name, amount, seconds))
                await asyncio.sleep(0.01)
        await room.take(10)
        cancelled = asyncio.create_task(room.take(5))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        room.give(10)
        await asyncio.wait_for(room.take(10), 1)
        return order

    assert asyncio.run(scene()) == ["a", "b", "c 503", "d 503"]


def test_a_bucket_fills_again() -> None:
    async def scene() -> Refused:
        bucket = Buckets(per_minute=1200)

        def drain() -> None:
            for _ in range(1000):
                bucket.take("a")

        with pytest.raises(Refused) as caught:
            drain()
        bucket.take("b")
        await asyncio.sleep(0.12)
        bucket.take("a")
        return caught.value

    assert 0 < (asyncio.run(scene()).retry_after or 0) <= 0.05


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 60))))
def test_a_cache_holds_what_was_used_last_up_to_its_bytes(uses: list[tuple[int, int]]) -> None:
    cache: ByteCache[int] = ByteCache(100)
    sizes: dict[int, int] = {}
    for key, size in uses:
        sizes.setdefault(key, size)
        assert cache.get(key, sizes[key], lambda key=key: key) == key
        assert sum(size for size, _ in cache._kept.values()) == cache._size <= 100


def test_a_cache_makes_one_value_at_a_time_and_nothing_twice() -> None:
    cache: ByteCache[str] = ByteCache(1000)
    made, at_once, most = [], 0, 0

    def make(key: str) -> str:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        made.append(key)
        at_once -= 1
        return key

    threads = [threading.Thread(target=cache.get, args=(key, 1, lambda key=key: make(key))) for key in "abcabcabc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(made), most) == (["a", "b", "c"], 1)
    cache.get("large", 2000, lambda: make("large"))
    cache.get("large", 2000, lambda: make("large"))
    assert made[3:] == ["large", "large"]


def test_a_question_is_asked_once_and_its_answer_kept_for_a_while() -> None:
    asked: list[str] = []

    def answer(text: str) -> str:
        asked.append(text)
        time.sleep(0.05)
        return text

    async def scene() -> None:
        lookup: Lookup[str] = Lookup(Askers(2, 8), lambda found: 0.2 if found == "kept" else 0.0)
        assert lookup.known("kept") is None
        found = await asyncio.gather(*(lookup.get("kept", lambda: answer("kept")) for _ in range(20)))
        assert set(found) == {"kept"}
        assert lookup.known("kept") == "kept"
        await lookup.get("kept", lambda: answer("kept"))
        assert asked == ["kept"]
        await asyncio.sleep(0.25)
        await lookup.get("kept", lambda: answer("kept"))
        for _ in range(2):
            await lookup.get("fleeting", lambda: answer("fleeting"))

    asyncio.run(scene())
    assert asked == ["kept", "kept", "fleeting", "fleeting"]


def test_a_slow_chain_turns_questions_away_and_blocks_no_thread_of_others() -> None:
    stop = threading.Event()

    async def scene() -> list[int]:
        lookup: Lookup[bool] = Lookup(Askers(2, 3), lambda _: 1.0, patience=0.3)
        started = time.monotonic()
        answers = await asyncio.gather(
            *(lookup.get(number, lambda: stop.wait(10)) for number in range(50)), return_exceptions=True
        )
        assert time.monotonic() - started < 2
        return [answer.status for answer in answers if isinstance(answer, Refused)]

    assert asyncio.run(scene()) == [503] * 50
    stop.set()


def test_while_the_chain_is_away_nobody_waits_for_it() -> None:
    asked: list[str] = []

    def away(text: str) -> bool:
        asked.append(text)
        raise ChainUnavailable("away", hint="wait")

    async def scene() -> None:
        lookup: Lookup[bool] = Lookup(Askers(1, 8), lambda _: 1.0, keep_refusals=1.0)
        for key in ("a", "b", "c"):
            with pytest.raises(ChainUnavailable, match="away"):
                await lookup.get(key, lambda key=key: away(key))

    asyncio.run(scene())
    assert asked == ["a"]


def test_the_registrys_answers_are_believed_for_a_while() -> None:
    chain = FakeChain(owners={"0xWorker": "0xOwner"})

    async def scene() -> None:
        found = Registrations(chain, Askers(1, 8), keep=30, each=8)
        assert found.known("0xworker") is None
        assert await found.look("0xWorker") == Registration("0xOwner", active=True, slots=8)
        chain.inactive.add("0xOwner")
        assert await found.look("0xWorker") == found.known("0xworker")
        assert found.known("0xworker") == Registration("0xOwner", active=True, slots=8)
        assert await found.look("0xOther") == Registration(None, active=False, slots=0)
        fresh = Registrations(chain, Askers(1, 8), keep=0, each=8)
        assert await fresh.look("0xWorker") == Registration("0xOwner", active=False, slots=0)
        assert fresh.known("0xworker") is None

    asyncio.run(scene())

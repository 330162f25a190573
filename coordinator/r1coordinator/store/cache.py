"""A cache bounded by the bytes that its entries were made from, not by their number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class ByteCache(Generic[V]):
    """The most recently used values, of sources of at most `limit` bytes in all. Safe for threads.

    One value is made at a time: making one takes several times its source's memory. A source beyond the limit is not
    kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[Hashable, tuple[int, V]] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def get(self, key: Hashable, size: int, make: Callable[[], V]) -> V:
        """The value of `key`, made from a source of `size` bytes unless it is here."""
        found = self._find(key)
        if found is None:
            with self._making:
                found = self._find(key) or (size, make())
                self._keep(key, found)
        return found[1]

    def _find(self, key: Hashable) -> tuple[int, V] | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: Hashable, entry: tuple[int, V]) -> None:
        with self._lock:
            if key in self._kept or entry[0] > self._limit:
                return
            self._kept[key] = entry
            self._size += entry[0]
            while self._size > self._limit:
                _, (size, _) = self._kept.popitem(last=False)
                self._size -= size

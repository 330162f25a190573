"""Where a job's rows lie: lines found by their number in files of any size, without reading what they say."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

from r1net.environments.places import RowPlace, shards_of
from r1net.errors import UsageError
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import MOST_ROW_BYTES, Shard

_CHUNK = 1 << 20


class Shards:
    """A job's shards, opened when they are needed. `fetch` brings a file by its digest. Safe for threads."""

    def __init__(self, spec: JobSpec, fetch: Callable[[str], Path]) -> None:
        self._spec, self._fetch = spec, fetch
        self._lock = threading.Lock()
        self._ends: dict[str, array[int]] = {}

    def line(self, place: RowPlace) -> str:
        """The line of a row. Raises UsageError when its shard isn't what the job says, OSError."""
        shards = shards_of(self._spec.environment.leaves[place.leaf], place.split)
        counts = list(accumulate(shard.rows for shard in shards))
        number = bisect_right(counts, place.number)
        shard, at = shards[number], place.number - (counts[number] - shards[number].rows)
        path, ends = self._opened(shard)
        begin = ends[at - 1] if at else 0
        with path.open("rb") as file:
            file.seek(begin)
            line = file.read(ends[at] - begin)
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"a row of {self._spec.environment.name} is not UTF-8") from error

    def check(self) -> None:
        """Whether every shard has the rows that the job says. Raises UsageError, OSError."""
        for shard in self._spec.environment.shards:
            self._opened(shard)

    def _opened(self, shard: Shard) -> tuple[Path, array[int]]:
        path = self._fetch(shard.sha256)
        with self._lock:
            ends = self._ends.get(shard.sha256)
            if ends is None:
                ends = self._ends[shard.sha256] = line_ends(path, shard)
        return path, ends


def line_ends(path: Path, shard: Shard) -> array[int]:
    """Where each line of a shard ends. Raises UsageError when it has other lines than it should, or too long ones."""
    ends: array[int] = array("Q")
    offset = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            at = chunk.find(b"\n")
            while at >= 0:
                ends.append(offset + at + 1)
                if len(ends) > shard.rows:
                    raise UsageError(f"a shard has more than the {shard.rows} rows that the job names")
                at = chunk.find(b"\n", at + 1)
            offset += len(chunk)
            if offset - (ends[-1] if ends else 0) > MOST_ROW_BYTES:
                raise UsageError(f"a row of the data set has more than {MOST_ROW_BYTES} bytes")
    if len(ends) != shard.rows or not ends or ends[-1] != offset:
        raise UsageError(f"a shard has {len(ends)} whole rows, not the {shard.rows} that the job names")
    longest = max(end - begin for begin, end in zip([0, *ends], ends, strict=False))
    if longest > MOST_ROW_BYTES:
        raise UsageError(f"a row of the data set has {longest} bytes; at most {MOST_ROW_BYTES} are read")
    return ends

"""A submitter's data set on its way into a job: rows become shards, named by their content."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from r1net.datasets.columns import Messages, make_row, question_of
from r1net.datasets.levels import Levels
from r1net.datasets.overlap import Overlap, Report, reveals
from r1net.datasets.sources import Numbered, Source, read_rows
from r1net.environments.rows import Row
from r1net.environments.shuffle import shuffled
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.protocol.problems import MOST_SHARDS, DataSet, Shard

SHARD_BYTES = 16 * 2**20
HELDOUT = 0.1
_BATCH = 512

RenderRows = Callable[[list[Messages]], list[str]]
"""The texts of conversations, up to where the answer's turn begins."""


@dataclass(frozen=True)
class Dataset:
    """Problems of your own: `source` is a file (JSON lines, parquet), a folder (of `datasets.save_to_disk`, or with
    files named after splits), or rows in memory (dicts, or anything that gives them, such as a `datasets.Dataset`).

    `prompt` and `answer` name columns; the question is a text, or a list of messages that ends with the user's. All
    columns go to reward functions under their own names. `heldout`: rows that are never trained on, a number, a share,
    or a source of its own; `split` chooses among those of a folder.
    Whoever works on the job, and anyone who asks the network for the job's files, can read the rows.
    """

    source: Source
    prompt: str | None = None
    answer: str | None = None
    split: str | None = None
    heldout: int | float | Source = HELDOUT
    name: str | None = None

    @property
    def label(self) -> str:
        """The name that the job gives it."""
        if self.name:
            return self.name
        return Path(self.source).stem if isinstance(self.source, str | Path) else "rows"


@dataclass(frozen=True)
class Prepared:
    """A data set whose shards lie among the local files, by the levels of its rows where a column says them, and what
    there is to say of it."""

    levels: Mapping[str, DataSet]
    report: Report

    @property
    def data(self) -> DataSet:
        """The whole, where it wasn't split."""
        (data,) = self.levels.values()
        return data


def prepare(
    dataset: Dataset, files: LocalFiles, render: RenderRows, seed: int, most_heldout: int, column: str | None = None
) -> Prepared:
    """Write the shards of a data set, split by the values of a `column`. `render` makes texts of conversations; a share
    that is held out is at most `most_heldout` rows, chosen by `seed`. Raises UsageError naming file and row.
    """
    held = dataset.heldout
    with tempfile.TemporaryFile() as whole, tempfile.TemporaryFile() as apart:
        rows, duplicates = _write(whole, _rows(dataset, dataset.source, dataset.split, render))
        if not rows:
            raise UsageError("the data set has no rows")
        if isinstance(held, int | float):
            chosen = _chosen(held, rows, seed, most_heldout)
            heldout = [line for number, line in enumerate(_lines(whole)) if number in chosen]
        else:
            _write(apart, _rows(dataset, held, None, render))
            chosen, heldout = frozenset(), list(_lines(apart))
        return _split(whole, chosen, heldout, duplicates, files, Levels(column))


def _rows(dataset: Dataset, source: Source, split: str | None, render: RenderRows) -> Iterator[Row]:
    numbered = iter(read_rows(source, split))
    while batch := list(islice(numbered, _BATCH)):
        for (where, row), question in zip(batch, _questions(dataset, batch, render), strict=True):
            yield make_row(row, question, dataset.prompt, dataset.answer, where)


def _questions(dataset: Dataset, batch: list[Numbered], render: RenderRows) -> list[str]:
    asked = [question_of(row, dataset.prompt, where) for where, row in batch]
    conversations = [question for question in asked if not isinstance(question, str)]
    if not conversations:
        return [question for question in asked if isinstance(question, str)]
    if len(conversations) < len(asked):
        raise UsageError(f"{batch[0][0]} and what follows: some questions are texts, others are messages")
    return render(conversations)


def _write(file: IO[bytes], rows: Iterable[Row]) -> tuple[int, int]:
    """Lines of rows without what comes twice; how many there are, and how many came twice."""
    seen: set[bytes] = set()
    duplicates = 0
    for row in rows:
        line = row.model_dump_json(exclude={"answer"} if row.answer is None else None).encode() + b"\n"
        digest = hashlib.sha256(line).digest()
        if digest in seen:
            duplicates += 1
            continue
        seen.add(digest)
        file.write(line)
    return len(seen), duplicates


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    return iter(file)


def _chosen(held: float, rows: int, seed: int, most: int) -> frozenset[int]:
    """The numbers of the rows that are held out."""
    if isinstance(held, float):
        if not 0 <= held < 1:
            raise UsageError(f"heldout={held}: a share is between 0 and 1")
        held = min(int(rows * held), most)
    if not 0 <= held < rows:
        raise UsageError(f"{held} of {rows} rows can't be held out: something must be left to train on")
    return frozenset(shuffled(position, rows, seed) for position in range(int(held)))


def _split(
    whole: IO[bytes],
    chosen: frozenset[int],
    heldout: list[bytes],
    duplicates: int,
    files: LocalFiles,
    levels: Levels,
) -> Prepared:
    """Shards of both splits, and what they have in common."""
    overlap, asked = Overlap(), set()
    revealed = leaked = 0
    held, train = (defaultdict[str, _Shards](lambda: _Shards(files)) for _ in range(2))
    for line in heldout:
        row = Row.model_validate_json(line)
        overlap.hold_out(row.question)
        asked.add(row.question)
        revealed += reveals(row.question, row.answer)
    for number, line in enumerate(_lines(whole)):
        if number in chosen:
            continue
        row = Row.model_validate_json(line)
        if row.question in asked:
            leaked += 1
            continue
        overlap.train_on(row.question)
        revealed += reveals(row.question, row.answer)
        train[levels.of(row)].add(line)
    if not train:
        raise UsageError("all rows are held out: nothing is left to train on", hint="hold fewer out: heldout=…")
    largest = max(train, key=lambda level: train[level].rows)
    for line in heldout:
        level = levels.of(Row.model_validate_json(line))
        held[level if level in train else largest].add(line)  # what isn't trained on is no part
    parts = {
        level: DataSet(train=train[level].finish(), heldout=held[level].finish()) for level in levels.sorted(train)
    }
    rows = sum(shards.rows for shards in train.values())
    report = Report(rows, len(heldout), duplicates, leaked, len(overlap.found), revealed)
    return Prepared(parts, report)


class _Shards:
    """Writes lines into one shard after the other."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._done: list[Shard] = []
        self._lines: list[bytes] = []
        self._size = self.rows = 0

    def add(self, line: bytes) -> None:
        """One more row."""
        self._lines.append(line)
        self._size += len(line)
        self.rows += 1
        if self._size >= SHARD_BYTES:
            self._flush()

    def finish(self) -> tuple[Shard, ...]:
        """All shards. Raises UsageError when there are too many."""
        self._flush()
        return tuple(self._done)

    def _flush(self) -> None:
        if not self._lines:
            return
        if len(self._done) == MOST_SHARDS:
            raise UsageError(f"the data set has more than {MOST_SHARDS * SHARD_BYTES >> 20} MiB")
        file = self._files.add(b"".join(self._lines))
        self._done.append(Shard(sha256=file.sha256, size=file.size, rows=len(self._lines)))
        self._lines, self._size = [], 0

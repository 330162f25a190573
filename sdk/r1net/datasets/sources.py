"""Rows out of the files that people have: JSON lines, parquet, a folder of `datasets.save_to_disk` or of a data set's
repository, or rows in memory.

A file may be a stranger's that the submitter downloaded: what is read is bounded before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from r1net.environments.rows import MOST_COLUMNS
from r1net.errors import UsageError
from r1net.local_files import path_of
from r1net.protocol.problems import MOST_ROW_BYTES

Source = Path | str | Iterable[Mapping[str, Any]]

_SUFFIXES = (".parquet", ".jsonl", ".json", ".ndjson")
_MOST_GROUP_BYTES = 2**30
"""What a row group of a parquet file may unpack to."""
_BATCH = 256

Numbered = tuple[str, Mapping[str, Any]]
"""Where a row stands, in words, and the row."""


def read_rows(source: Source, split: str | None = None) -> Iterator[Numbered]:
    """The rows of a source, in its order. `split` chooses among those of a folder. Raises UsageError."""
    if not isinstance(source, str | Path):
        yield from _in_memory(source)
        return
    path = path_of(source)
    if path.is_dir():
        for file in _files_of(path, split):
            yield from _file(file)
    elif path.is_file():
        yield from _file(path)
    else:
        raise UsageError(f"there is no data set at {path}")


def _in_memory(rows: Iterable[Mapping[str, Any]]) -> Iterator[Numbered]:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UsageError(f"row {number} is no mapping but {type(row).__name__}")
        yield f"row {number}", row


def _file(path: Path) -> Iterator[Numbered]:
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".arrow":
        return _arrow(path)
    if path.suffix in _SUFFIXES:
        return _json_lines(path)
    raise UsageError(f"{path.name} is no data set", hint=f"give a folder, a list of rows, or {', '.join(_SUFFIXES)}")


def _json_lines(path: Path) -> Iterator[Numbered]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_ROW_BYTES + 1):
            number += 1
            where = f"{path.name}:{number}"
            if len(line) > MOST_ROW_BYTES:
                raise UsageError(f"{where}: a row has more than {MOST_ROW_BYTES} bytes")
            if line.strip():
                yield where, _json_row(line, where)


def _json_row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        hint = "write one JSON object to a line"
        raise UsageError(f"{where}: not JSON: {error}", hint=hint) from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: no JSON object but {type(row).__name__}", hint="write one JSON object to a line")
    return row


def _parquet(path: Path) -> Iterator[Numbered]:
    try:
        schema = pq.read_schema(path)
        _check_columns(path, schema)
        # a cell that a million rows share stays one cell until its length is known
        file = pq.ParquetFile(path, read_dictionary=[field.name for field in schema if _is_text(field.type)])
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            size = sum(group.column(n).total_uncompressed_size for n in range(group.num_columns))
            if size > _MOST_GROUP_BYTES or group.total_byte_size > _MOST_GROUP_BYTES:
                raise UsageError(f"{path.name}: row group {number} unpacks to {size} bytes", hint="write smaller ones")
        yield from _numbered(path, file.iter_batches(_BATCH))
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path.name} can't be read: {error}") from error


def _arrow(path: Path) -> Iterator[Numbered]:
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            _check_columns(path, stream.schema)
            yield from _numbered(path, stream)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path.name} can't be read: {error}") from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    if len(schema) > MOST_COLUMNS:
        raise UsageError(f"{path.name} has {len(schema)} columns; at most {MOST_COLUMNS} are read")


def _numbered(path: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[Numbered]:
    number = 0
    for batch in batches:
        for column in batch.columns:
            if pa.types.is_dictionary(column.type) and _longest(column.dictionary) > MOST_ROW_BYTES:
                raise UsageError(f"{path.name}: a cell has more than {MOST_ROW_BYTES} bytes")
        for row in batch.to_pylist():
            yield f"{path.name}, row {number}", row
            number += 1


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _longest(values: pa.Array) -> int:
    return pc.max(pc.binary_length(values)).as_py() or 0 if _is_text(values.type) else 0


def _files_of(folder: Path, split: str | None) -> list[Path]:
    """A folder's files of a split: one of `datasets.save_to_disk`, or any with files named after splits."""
    if (folder / "dataset_dict.json").is_file():
        names = json.loads((folder / "dataset_dict.json").read_bytes()).get("splits", [])
        folder = folder / _chosen(folder, [str(name) for name in names], split)
    if (folder / "state.json").is_file():
        return _saved(folder)
    files = sorted(file for file in folder.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    data = [file for file in files if file.name not in {"dataset_infos.json", "dataset_info.json"}]
    if not data:
        raise UsageError(f"{folder} holds no data set", hint=f"files in it end in {', '.join(_SUFFIXES)}")
    by_split: dict[str, list[Path]] = {}
    for file in data:
        by_split.setdefault(_split_of(file, folder), []).append(file)
    return by_split[_chosen(folder, list(by_split), split)]


def _saved(folder: Path) -> list[Path]:
    state = json.loads((folder / "state.json").read_bytes())
    names = [str(entry["filename"]) for entry in state.get("_data_files", [])]
    if not names or any(Path(name).name != name for name in names):
        raise UsageError(f"{folder}/state.json names no files beside it")
    return [folder / name for name in names]


def _split_of(file: Path, folder: Path) -> str:
    """`train` of train-00000-of-00002.parquet, data/train/0000.parquet or train.jsonl; else the file's own name."""
    parents = file.relative_to(folder).parts[:-1]
    if parents and parents[-1] not in {"data", "default"}:
        return parents[-1]
    return file.stem.split("-")[0].split(".")[0]


def _chosen(folder: Path, splits: list[str], wanted: str | None) -> str:
    name = wanted or ("train" if "train" in splits or len(splits) != 1 else splits[0])
    if name not in splits:
        known = ", ".join(sorted(splits))[:300]
        raise UsageError(f"{folder} has no split {name!r}, but {known}", hint="choose one: Dataset(…, split=…)")
    return name

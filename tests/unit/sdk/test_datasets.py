"""The exported traces are read by what people read parquet with: Hugging Face datasets, pandas, polars, DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.datasets import ProofBook, export_traces
from r1net.errors import ProtocolError
from r1net.protocol.trace import Trace
from r1net.protocol.views import TraceView
from r1net.rewards import names
from r1net.transport import Transport

JOB = "0x" + "11" * 32
REWARDS = tuple(names())
OWN = ("humour", "tact")
NONE: dict[str, float | None] = dict.fromkeys(REWARDS)
PARTS: list[dict[str, float | None]] = [
    NONE | {"correct": 1.0, "format": 0.0},
    NONE | {"correct": 0.25, "format": 1.0},
    NONE,
]
MARKS: list[dict[str, float | None]] = [{"humour": 0.5, "tact": None}, {"tact": -1.0}, {}]
"""Of the jobs' own code."""
OWN_REWARDS = [
    [{"name": "humour", "value": 0.5}, {"name": "tact", "value": None}],
    [{"name": "tact", "value": -1.0}],
    [],
]


def view(index: int, parts: dict[str, float | None]) -> TraceView:
    given_parts = [part for part in parts.values() if part is not None]
    trace = Trace(
        job_id=JOB,
        split="train",
        round=0,
        group=0,
        index=index,
        policy="0x" + "22" * 32,
        worker="0x" + "33" * 20,
        prompt_ids=(1, 2, 3),
        completion_ids=(4, 5),
        logprobs=(-0.5, -0.25),
        reward_parts=parts,
        reward=sum(given_parts) if given_parts else None,
        finish_reason="stop",
        seed=index,
    )
    return TraceView(
        trace=trace,
        trace_digest=trace.digest(),
        question="1 + 1 =",
        prompt="1 + 1 =",
        completion="zwei «2»",
    )


def write(target: Path, parts: list[dict[str, float | None]], own: Collection[str] = OWN) -> int:
    with Transport("https://nowhere.invalid") as offline:
        return export_traces((view(n, part) for n, part in enumerate(parts)), ProofBook(offline, JOB), target, own)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "traces.parquet"
    assert write(target, [part | marks for part, marks in zip(PARTS, MARKS, strict=True)]) == len(PARTS)
    return target


def test_hugging_face_datasets(file: Path, tmp_path: Path) -> None:
    rows = load_dataset("parquet", data_files=str(file), split="train", cache_dir=str(tmp_path))
    assert [row["reward_parts"] for row in rows] == PARTS
    assert rows["reward"][:] == [1.5, 0.25, None]
    assert [row["own_rewards"] for row in rows] == OWN_REWARDS
    assert (rows[0]["prompt"], rows[0]["completion_ids"], rows[0]["proof"]) == ("1 + 1 =", [4, 5], None)


def test_pandas(file: Path) -> None:
    table = pd.read_parquet(file)
    assert list(table["reward_parts"]) == PARTS
    assert table["reward_parts"].str["correct"].tolist()[:2] == [1.0, 0.25]
    assert [list(marks) for marks in table["own_rewards"]] == OWN_REWARDS
    assert table["completion"][0] == "zwei «2»"
    assert table["reward"].isna().tolist() == [False, False, True]


def test_polars(file: Path) -> None:
    table = pl.read_parquet(file)
    assert table["reward_parts"].to_list() == PARTS
    assert table["reward_parts"].struct.field("correct").to_list() == [1.0, 0.25, None]
    assert table["own_rewards"].to_list() == OWN_REWARDS
    own = table.explode("own_rewards").unnest("own_rewards").filter(pl.col("name") == "tact")
    assert own["value"].to_list() == [None, -1.0]


def test_duckdb(file: Path) -> None:
    with duckdb.connect() as connection:
        query = "select reward_parts.correct, reward_parts.exact, len(prompt_ids) from read_parquet(?)"
        assert connection.execute(query, [str(file)]).fetchall() == [(1.0, None, 3), (0.25, None, 3), (None, None, 3)]
        own = (
            "select value from (select unnest(own_rewards, recursive := true) from read_parquet(?)) where name = 'tact'"
        )
        assert connection.execute(own, [str(file)]).fetchall() == [(None,), (-1.0,)]


def test_a_job_without_traces_has_a_file_with_its_columns(tmp_path: Path) -> None:
    assert write(tmp_path / "none.parquet", []) == 0
    table = pl.read_parquet(tmp_path / "none.parquet")
    assert table.height == 0
    assert table["reward_parts"].struct.fields == list(REWARDS)


def test_files_of_jobs_with_other_rewards_are_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [{"correct": 1.0}])
    write(tmp_path / "b.parquet", [{"format": 0.5, "exact": None, "tact": 0.25}])
    with duckdb.connect() as connection:
        columns = "reward_parts.correct, reward_parts.format, own_rewards[1].value"
        query = f"select {columns} from read_parquet(?) order by filename"
        found = connection.execute(query, [str(tmp_path / "*.parquet")]).fetchall()
        assert found == [(1.0, None, None), (None, 0.5, 0.25)]


def test_a_reward_that_is_unknown_here_is_not_lost_in_silence(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="'tomorrow', which is unknown here"):
        write(tmp_path / "traces.parquet", [{"correct": 1.0, "tomorrow": 1.0}])
    with pytest.raises(ProtocolError, match="'tact', which is unknown here"):
        write(tmp_path / "traces.parquet", [{"tact": 1.0}], own=())


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in REWARDS}),
            st.dictionaries(st.from_regex(r"own_[a-z]{1,9}", fullmatch=True), st.none() | st.floats(-1, 1), max_size=3),
        ),
        max_size=5,
    )
)
def test_parts_come_back_as_they_were(rows: list[tuple[dict[str, float | None], dict[str, float | None]]]) -> None:
    own = {name for _, marks in rows for name in marks}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "traces.parquet", [parts | marks for parts, marks in rows], own)
        found = pq.read_table(Path(folder) / "traces.parquet").to_pylist()
    assert [row["reward_parts"] for row in found] == [parts for parts, _ in rows]
    assert [{mark["name"]: mark["value"] for mark in row["own_rewards"]} for row in found] == [own for _, own in rows]

"""Rows of a submitter's own: read from the files that people have, held out, written as shards, found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset as HubDataset
from datasets import DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from r1net.datasets import Dataset, sources
from r1net.datasets.intake import Prepared, prepare
from r1net.environments import Draw, RowPlace, Shards, row_of
from r1net.environments.places import heldout_counts, leaf_of
from r1net.environments.rows import Row
from r1net.environments.shuffle import shuffled
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.protocol.job import Evaluation, JobSpec, RewardSpec
from r1net.protocol.problems import DataSet, EnvironmentSpec, Part
from tests.unit.coordinator.jobs import job_spec

ROWS = [{"question": f"What is {a} + {b}?", "answer": a + b, "level": a} for a in range(10) for b in range(10)]


def no_conversations(_: object) -> list[str]:
    raise AssertionError("these are texts")


def prepared(files: LocalFiles, source: Any, **settings: Any) -> Prepared:
    return prepare(Dataset(source, **settings), files, no_conversations, 7, 10_000)


def rows_of(files: LocalFiles, data: DataSet, split: str = "train") -> list[Row]:
    shards = data.train if split == "train" else data.heldout
    return [
        Row.model_validate_json(line) for shard in shards for line in files.path(shard.sha256).read_bytes().splitlines()
    ]


def job_on(data: DataSet, **changes: Any) -> JobSpec:
    held = sum(shard.rows for shard in data.heldout)
    return job_spec(
        environment=EnvironmentSpec(name="rows:own", data=data),
        rewards=(RewardSpec(name="correct"),),
        **{"evaluation": Evaluation(problems=held)} | changes,
    )


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def write_jsonl(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def write_parquet(folder: Path) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, compression="zstd", row_group_size=30)
    return path


def write_saved(folder: Path) -> Path:
    HubDataset.from_list(ROWS).save_to_disk(folder / "saved")
    return folder / "saved"


def write_saved_splits(folder: Path) -> Path:
    both = DatasetDict({"train": HubDataset.from_list(ROWS), "test": HubDataset.from_list(ROWS[:3])})
    both.save_to_disk(folder / "saved")
    return folder / "saved"


def write_repository(folder: Path) -> Path:
    (folder / "repo" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(ROWS)
    pq.write_table(table.slice(0, 50), folder / "repo" / "data" / "train-00000-of-00002.parquet")
    pq.write_table(table.slice(50), folder / "repo" / "data" / "train-00001-of-00002.parquet")
    pq.write_table(table.slice(0, 5), folder / "repo" / "data" / "test-00000-of-00001.parquet")
    (folder / "repo" / "README.md").write_text("a card")
    return folder / "repo"


def in_memory(_: Path) -> list[dict[str, Any]]:
    return ROWS


def of_hub(_: Path) -> HubDataset:
    return HubDataset.from_list(ROWS)


@pytest.mark.parametrize(
    "write", [write_jsonl, write_parquet, write_saved, write_saved_splits, write_repository, in_memory, of_hub]
)
def test_every_form_of_the_same_rows_is_the_same_data(
    write: Callable[[Path], Any], tmp_path: Path, files: LocalFiles
) -> None:
    found = prepared(files, write(tmp_path))
    assert (found.report.rows, found.report.heldout) == (90, 10)
    assert found.data == prepared(files, ROWS).data, "the content names the shards"
    row = rows_of(files, found.data)[0]
    assert (row.columns.keys(), row.answer) == ({"answer", "level"}, str(row.columns["answer"]))


def test_a_split_of_a_folder_is_named(tmp_path: Path, files: LocalFiles) -> None:
    folder = write_repository(tmp_path)
    assert prepared(files, folder, split="test", heldout=0).report.rows == 5
    with pytest.raises(UsageError, match="no split 'validation', but test, train"):
        prepared(files, folder, split="validation")


def test_what_is_held_out_is_never_trained_on(files: LocalFiles) -> None:
    found = prepared(files, ROWS, heldout=20)
    train, held = (rows_of(files, found.data, split) for split in ("train", "heldout"))
    assert (len(train), len(held)) == (80, 20)
    assert not {row.question for row in train} & {row.question for row in held}
    own = prepared(files, [*ROWS, *ROWS], heldout=[{"question": "What is 3 + 4?", "answer": "7"}])
    assert (own.report.rows, own.report.heldout, own.report.leaked, own.report.duplicates) == (99, 1, 1, 100)


def test_eight_words_in_a_row_are_an_overlap(files: LocalFiles) -> None:
    shared = "a farmer has seven cows and buys three more"
    rows = [{"prompt": f"{shared}; how many?"}, {"prompt": "Count to nine."}]
    held = [
        {"prompt": f"Yesterday {shared}, and sells one."},
        {"prompt": "What is the capital of France, in one word?"},
    ]
    report = prepared(files, rows, heldout=held).report
    assert (report.overlapping, report.revealed) == (1, 0)
    assert "1 of 2 held-out questions share 8 words" in "\n".join(report.lines())
    assert prepared(files, [{"prompt": "Is it 12 or 13?", "answer": "13"}], heldout=0).report.revealed == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "?"}], "no column prompt or question"),
        ([{"prompt": " "}], "is empty"),
        ([{"prompt": 7}], "neither a text nor a list of messages"),
        ([{"prompt": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}], "not of the user"),
        ([{"prompt": "?", "raw": b"\x00"}], "raw: bytes can't travel as JSON"),
        ([{"prompt": "?", "a column": 1}], "is no name for a column"),
        ([{"prompt": "?"} | {f"c{n}": 1 for n in range(300)}], "301 columns; at most 256"),
        ([{"prompt": "?" * 2**21}], "at most 1048576 are taken"),
        ([{"prompt": "?", "answer": ["a"]}], "neither a text nor a number"),
        (["?"], "no mapping but str"),
        ([], "has no rows"),
    ],
)
def test_bad_rows_are_refused_in_words(rows: list[Any], words: str, files: LocalFiles) -> None:
    with pytest.raises(UsageError, match=words):
        prepared(files, rows, heldout=0)


def test_nothing_in_tables_is_null(files: LocalFiles) -> None:
    found = prepared(files, [{"prompt": "?", "answer": "a", "hint": float("nan")}], heldout=0)
    assert rows_of(files, found.data)[0].columns == {"answer": "a", "hint": None}


def test_a_bad_line_is_named(tmp_path: Path, files: LocalFiles) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": \n')
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: not JSON"):
        prepared(files, path)


def test_a_file_of_columns_or_of_zeros_is_refused_before_it_is_unpacked(
    tmp_path: Path, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MOST_GROUP_BYTES", 2**26)
    wide = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{n}": [1] for n in range(2000)}), wide)
    with pytest.raises(UsageError, match="2000 columns"):
        prepared(files, wide)
    zeros = tmp_path / "zeros.parquet"
    table = pa.table({"prompt": ["\0" * 2**21] * 40})
    for dictionary, words in ((False, "unpacks to"), (True, "a cell has more than 1048576")):
        pq.write_table(table, zeros, compression="zstd", use_dictionary=dictionary)
        assert zeros.stat().st_size < 2**17
        with pytest.raises(UsageError, match=words):
            prepared(files, zeros)


@given(size=st.integers(1, 400), seed=st.integers(0, 2**53))
def test_a_shuffle_is_a_permutation(size: int, seed: int) -> None:
    assert sorted(shuffled(position, size, seed) for position in range(size)) == list(range(size))


def test_training_goes_through_all_rows_before_one_comes_again(files: LocalFiles) -> None:
    spec = job_on(prepared(files, ROWS, heldout=20).data)
    stage = spec.stage
    places = [row_of(spec, "train", round_, group) for round_ in range(20) for group in range(stage.groups_per_round)]
    assert len(places) == 80
    assert {place.number for place in places if place} == set(range(80))
    again = row_of(spec, "train", 20, 0)
    assert again is not None
    assert again.number != places[0].number  # another order


def test_a_group_gets_the_row_that_its_place_names(files: LocalFiles) -> None:
    spec = job_on(prepared(files, ROWS, heldout=20).data)
    shards = Shards(spec, files.path)
    shards.check()
    draw = Draw(spec, shards.line)
    train, held = (rows_of(files, spec.environment.leaves[0].data, split) for split in ("train", "heldout"))  # type: ignore[arg-type]
    for group in range(4):
        place = row_of(spec, "train", 3, group)
        assert place is not None
        problem = draw.problem("train", 3, group)
        assert (problem.question, problem.answer) == (train[place.number].question, train[place.number].answer)
        assert draw.environment("train", 3, group).verify(problem, f" {problem.answer}\n") == 1
        assert draw.environment("train", 3, group).verify(problem, "x") == 0
    assert sorted(problem.question for problem in draw.heldout) == sorted(row.question for row in held)


def test_a_mix_is_drawn_by_its_weights(files: LocalFiles) -> None:
    data = prepared(files, ROWS, heldout=3).data
    sums = EnvironmentSpec(name="reasoning_gym:chain_sum")
    rows = EnvironmentSpec(name="rows:own", data=data)
    mix = EnvironmentSpec(name="mix:both", parts=(Part(environment=sums, weight=3), Part(environment=rows, weight=1)))
    spec = job_spec(environment=mix, evaluation=Evaluation(problems=20))
    leaves = [leaf_of(spec, "train", round_, group) for round_ in range(100) for group in range(4)]
    assert 60 < leaves.count(1) < 140
    assert heldout_counts(spec) == (17, 3), "there are no more rows"
    draw = Draw(spec, Shards(spec, files.path).line)
    assert [draw.problem("heldout", 0, n).question.startswith("What is") for n in range(20)][-3:] == [True] * 3
    assert len({problem.question for problem in draw.heldout}) == 20
    alone = job_spec(environment=rows, evaluation=Evaluation(problems=20))
    with pytest.raises(UsageError, match="has 3 held-out rows"):
        Draw(alone)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b" ", 1),
        lambda data: data + b"{}\n",
        lambda data: data[:-1],
        lambda data: b"x" * (2**20 + 1) + data[2**20 + 1 :],
        lambda data: b"\n" * len(data),
    ],
)
def test_a_shard_that_is_not_what_the_job_says_is_refused(
    change: Callable[[bytes], bytes], tmp_path: Path, files: LocalFiles
) -> None:
    spec = job_on(prepared(files, ROWS, heldout=0).data)
    bad = tmp_path / "bad"
    bad.write_bytes(change(files.path(spec.environment.shards[0].sha256).read_bytes()))
    with pytest.raises(UsageError):
        Shards(spec, lambda _: bad).check()


def test_a_row_is_a_strangers_text(files: LocalFiles, tmp_path: Path) -> None:
    spec = job_on(prepared(files, ROWS[:2], heldout=0).data)
    for line in (b'{"question": 7}', b"nonsense", b'{"question": "?", "x": 1}', b'{"question": "?", "columns": [1]}'):
        bad = tmp_path / "bad"
        bad.write_bytes((line + b"\n") * 2)
        draw = Draw(spec, Shards(spec, lambda _: bad).line)  # noqa: B023 - asked at once
        with pytest.raises(UsageError, match="rows:own: row"):
            draw.problem("train", 0, 0)
    (tmp_path / "bad").write_bytes(b"\xff\n\n")
    with pytest.raises(UsageError, match="UTF-8"):
        Shards(spec, lambda _: tmp_path / "bad").line(RowPlace(0, "train", 0))

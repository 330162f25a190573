"""A column's values are the parts of a curriculum: split, weighed by their rows, with what is held out kept apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1net.datasets import Dataset
from r1net.datasets.intake import prepare
from r1net.environments.rows import Row
from r1net.errors import UsageError
from r1net.jobs.compose import compose
from r1net.jobs.file import read_job_file
from r1net.local_files import LocalFiles
from r1net.protocol.job import JobSpec
from r1net.protocol.problems import Curriculum, DataSet
from tests.unit.coordinator.jobs import SUBMITTER, TOKEN
from tests.unit.node.models import llama
from tests.unit.node.test_innocent import write_tokenizer

ROWS = [{"question": f"{a} + {b}", "answer": a + b, "level": a % 3 + 1} for a in range(10) for b in range(10)]


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def levels(files: LocalFiles, rows: Any, column: str = "level", **settings: Any) -> dict[str, DataSet]:
    return dict(prepare(Dataset(rows, **settings), files, lambda _: [], 7, 10_000, column).levels)


def rows_of(files: LocalFiles, data: DataSet, split: str = "train") -> list[Row]:
    shards = data.train if split == "train" else data.heldout
    return [
        Row.model_validate_json(line) for one in shards for line in files.path(one.sha256).read_bytes().splitlines()
    ]


def test_every_row_is_in_the_part_of_its_level_and_in_one_split(files: LocalFiles) -> None:
    found = levels(files, ROWS, heldout=20)
    assert list(found) == ["1", "2", "3"]
    splits: dict[str, list[str]] = {"train": [], "heldout": []}
    for level, data in found.items():
        for split, questions in splits.items():
            rows = rows_of(files, data, split)
            assert {row.columns["level"] for row in rows} == {int(level)}
            questions += [row.question for row in rows]
    assert (len(splits["train"]), len(splits["heldout"])) == (80, 20)
    assert len({*splits["train"], *splits["heldout"]}) == 100
    whole = prepare(Dataset(ROWS, heldout=20), files, lambda _: [], 7, 10_000).data
    assert sorted(splits["heldout"]) == sorted(row.question for row in rows_of(files, whole, "heldout"))


def test_rows_without_a_value_are_a_level_of_their_own(files: LocalFiles) -> None:
    rows = [{"question": "a", "level": 10}, {"question": "b", "level": None}, {"question": "c"}]
    rows += [
        {"question": "d", "level": float("nan")},
        {"question": "e", "level": "easy"},
        {"question": "f", "level": 9},
    ]
    found = levels(files, rows, heldout=0)
    assert list(found) == ["9", "10", "easy", "none"]
    assert len(rows_of(files, found["none"])) == 3


def test_what_is_held_out_of_a_level_that_nobody_trains_on_is_answered_all_the_same(files: LocalFiles) -> None:
    found = levels(files, ROWS, heldout=[{"question": "hard", "level": 99}, {"question": "2 + 3", "level": 3}])
    assert list(found) == ["1", "2", "3"]
    held = {level: {row.question for row in rows_of(files, data, "heldout")} for level, data in found.items()}
    assert held == {"1": {"hard"}, "2": set(), "3": {"2 + 3"}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (range(65), "more than 64 different values"),
        (["x" * 61], "values of 61 characters"),
        ([[1]], "values that are list"),
        ([{"a": 1}], "values that are dict"),
    ],
)
def test_what_makes_no_levels_is_refused_in_words(values: Any, words: str, files: LocalFiles) -> None:
    rows = [{"question": f"q{number}", "level": value} for number, value in enumerate(values)]
    with pytest.raises(UsageError, match=words):
        levels(files, rows, heldout=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    llama().save_pretrained(path)
    write_tokenizer(path)
    return path


def composed(model: Path, files: LocalFiles, **job: Any) -> JobSpec:
    given = {"model": model, "rounds": 3, "budget": 10**6, "stop_token_ids": [1], "prompt": "{question}"}
    return compose(given | job, SUBMITTER, lambda: TOKEN, files).spec  # type: ignore[arg-type]


def test_a_level_weighs_as_many_rows_as_it_has(model: Path, files: LocalFiles) -> None:
    spec = composed(model, files, dataset=Dataset(ROWS, heldout=0.1, name="sums"), curriculum="level")
    environment = spec.environment
    assert environment.curriculum == Curriculum()
    assert [leaf.name for leaf in environment.leaves] == ["rows:sums/1", "rows:sums/2", "rows:sums/3"]
    rows = [sum(shard.rows for shard in leaf.data.train) for leaf in environment.leaves if leaf.data]
    assert list(environment.weights) == pytest.approx([count / 90 for count in rows])
    assert spec.evaluation.problems == 10


def test_a_column_splits_data_sets_and_leaves_generators_as_they_are(model: Path, files: LocalFiles) -> None:
    sums = [("reasoning_gym:chain_sum", 3.0)]
    given = [(Dataset(ROWS, name="a"), 2.0), (Dataset(ROWS[:30], name="b", heldout=0), 1.0)]
    spec = composed(model, files, environment=sums, dataset=given, curriculum="level")
    assert len(spec.environment.parts) == 7
    assert sum(spec.environment.weights[1:4]) == pytest.approx(2)
    assert sum(spec.environment.weights[4:]) == pytest.approx(1)
    with_settings = composed(model, files, environment=sums, dataset=given, curriculum=Curriculum(rounds=3))
    assert with_settings.environment.curriculum == Curriculum(rounds=3)
    assert len(with_settings.environment.parts) == 3
    for none in (False, None):
        assert composed(model, files, environment=sums, dataset=given, curriculum=none).environment.curriculum is None


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"dataset": ROWS, "curriculum": True}, "the job has one"),
        ({"dataset": ROWS, "curriculum": "levle"}, "no two rows differ in 'levle'"),
        ({"environment": "reasoning_gym:chain_sum", "curriculum": True}, "the job has one"),
        ({"environment": "reasoning_gym:chain_sum", "curriculum": "level"}, "no data set whose column"),
        (
            {"dataset": [(Dataset([{"question": f"{n}", "n": n} for n in range(40)], name=a), 1) for a in "ab"]}
            | {"curriculum": "n"},
            "more than 64 entries",
        ),
    ],
)
def test_a_curriculum_of_nothing_is_refused(job: dict[str, Any], words: str, model: Path, files: LocalFiles) -> None:
    with pytest.raises(UsageError, match=words):
        composed(model, files, **job)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("curriculum = true", True),
        ("curriculum = false", False),
        ('curriculum = "level"', "level"),
        ("curriculum = {rounds = 4, least = 0.2}", Curriculum(rounds=4, least=0.2)),
    ],
)
def test_a_job_file_says_the_same(line: str, meant: object, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(f'model = "m"\nrounds = 3\nbudget = "1 R1"\n{line}\n')
    assert read_job_file(path)["curriculum"] == meant
    assert read_job_file(path, ["curriculum=other"])["curriculum"] == "other"


def test_a_wrong_setting_in_a_job_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('model = "m"\nrounds = 3\nbudget = "1 R1"\n[curriculum]\nrounds = 0\n')
    with pytest.raises(UsageError, match=r"job\.toml:5: curriculum\.rounds"):
        read_job_file(path)

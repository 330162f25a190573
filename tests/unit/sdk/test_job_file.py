"""A job file says what `Client.train` takes, and a fault in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net import Tool
from r1net.datasets import Dataset
from r1net.errors import UsageError
from r1net.jobs import JobArguments
from r1net.jobs.file import JobFile, read_job_file
from r1net.protocol.job import RewardSpec, Sampling

WHOLE = """\
model = "models/tiny"
rounds = 30
budget = "2.5 R1"

[[reward]]
name = "correct"

[[reward]]
name = "format"
weight = 0.25

[dataset]
source = "rows.jsonl"
heldout = 20

[sampling]
max_tokens = 64
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text)
    return path


def test_the_keys_are_those_of_train() -> None:
    assert JobFile.model_fields.keys() == JobArguments.__annotations__.keys()


def test_a_whole_file(tmp_path: Path) -> None:
    job = read_job_file(written(tmp_path, WHOLE))
    assert (job["model"], job["rounds"], job["budget"]) == (tmp_path / "models/tiny", 30, 25 * 10**17)
    assert job["dataset"] == Dataset(tmp_path / "rows.jsonl", heldout=20)
    assert job["reward"] == [(RewardSpec(name="correct"), 1.0), (RewardSpec(name="format"), 0.25)]
    assert job["sampling"] == Sampling(max_tokens=64)


def test_settings_are_changed_from_the_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    changes = ["sampling.max_tokens=8", "reward.1.weight=2", "name=my sums", "lora.rank=4", "budget=7 wei"]
    job = read_job_file(path, changes)
    assert (job["sampling"].max_tokens, job["name"], job["lora"].rank, job["budget"]) == (8, "my sums", 4, 7)
    assert job["reward"] == [(RewardSpec(name="correct"), 1.0), (RewardSpec(name="format"), 2)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rounds = 30", 'rounds = "many"', "job.toml:2: rounds"),
        ('budget = "2.5 R1"', 'budget = "2.5 pounds"', "job.toml:3: budget"),
        ('budget = "2.5 R1"', "budget = 2.5", "job.toml:3: budget"),
        ('budget = "2.5 R1"', 'budget = "nan R1"', "job.toml:3: budget"),
        ("weight = 0.25", 'weight = "much"', "job.toml:10: reward.1.weight"),
        ("heldout = 20", "held_out = 20", "job.toml:14: dataset.held_out"),
        ("max_tokens = 64", "max_tokens = 0", "job.toml:17: sampling.max_tokens"),
        ("rounds = 30", "", "job.toml: rounds"),
        ("rounds = 30", "rounds = 30\nround = 30", "job.toml:3: round"),
        ("rounds = 30", "rounds = ", "at line 2"),
    ],
)
def test_a_fault_is_named_with_its_line(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE.replace(old, new))
    with pytest.raises(UsageError) as caught:
        read_job_file(path)
    assert words in caught.value.message


def test_own_rewards_are_files_beside_it(tmp_path: Path) -> None:
    text = WHOLE.replace('name = "format"', 'file = "own.py"\nfunction = "near"')
    assert read_job_file(written(tmp_path, text))["reward"][1] == (tmp_path / "own.py:near", 0.25)
    with pytest.raises(UsageError, match=r"job\.toml:8: reward"):
        read_job_file(written(tmp_path, WHOLE.replace('name = "format"\n', "")))


def test_an_own_tool_is_a_file_beside_it(tmp_path: Path) -> None:
    plain = 'model = "m"\nrounds = 1\nbudget = 1\n'
    for text, tool in (
        ('tool = "calculator"', "calculator"),
        ('tool = "own.py:say"', tmp_path / "own.py:say"),
        ('[tool]\nfile = "own.py"\nfunction = "say"', Tool(tmp_path / "own.py:say")),
        ('[tool]\nname = "messages"\nconfig.texts = ["?"]', Tool("messages", {"texts": ["?"]})),
    ):
        assert read_job_file(written(tmp_path, plain + text + "\n"))["tool"] == tool
    with pytest.raises(UsageError, match=r"job\.toml:4: tool"):
        read_job_file(written(tmp_path, plain + '[tool]\nreply = "x"\n'))


@pytest.mark.parametrize("change", ["rounds", "=3", "reward.weight=1", "model.name.x=1"])
def test_a_change_that_means_nothing_is_refused(change: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--set"):
        read_job_file(written(tmp_path, WHOLE), [change])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_job_or_a_fault(data: bytes) -> None:
    path = Path("/dev/shm") / "r1net-test-job.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        read_job_file(path)

"""A submitter's own tool, from a function or a file to what a job carries, and its trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1net import Tool
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.own import reward_specs, tool_turns
from r1net.own.tools import ToolLike
from r1net.probe import check_job
from r1net.protocol.job import JobSpec, RewardSpec
from r1net.protocol.turns import Turns
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec

ECHO = "def say(prompt, turns, **columns):\n    return turns[-1] or None\n"
BOTH = "def say(prompt, turns, **columns):\n    return None\ndef score(completions, **columns):\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    for name, data in MODEL_FILES.items():
        (made / name).write_bytes(data)
    return made


def own(tmp_path: Path, source: str) -> Path:
    path = tmp_path / "own.py"
    path.write_text(source)
    return path


def turns_of(tool: ToolLike, most: int | None = None) -> Turns:
    return tool_turns(tool, most, lambda: "<{reply}>", LocalFiles())


def job(tmp_path: Path, source: str, **changes: Any) -> JobSpec:
    return job_spec(turns=turns_of(own(tmp_path, source)), rewards=(RewardSpec(name="correct"),), **changes)


def test_a_name_a_file_and_settings(tmp_path: Path) -> None:
    assert turns_of("calculator", 7) == Turns(tool="calculator", most=7, reply="<{reply}>")
    chosen = Tool("messages", {"texts": ["?"]}, reply="{reply}")
    assert turns_of(chosen) == Turns(tool="messages", config={"texts": ["?"]}, reply="{reply}")
    made = turns_of(own(tmp_path, ECHO))
    assert made == turns_of(str(tmp_path / "own.py:say"))
    assert made.tool == "say"
    assert made.code is not None
    assert LocalFiles().require(made.code.source.sha256).read_text() == ECHO


@pytest.mark.parametrize(
    ("tool", "most", "words"),
    [
        ("oracle", None, "unknown tool 'oracle'"),
        (Tool("calculator", {"x": 1}), None, "refuses its settings"),
        ("calculator", 1, "turns: "),
        ("calculator", 65, "turns: "),
        (Tool("calculator", reply="no place"), None, "exactly once"),
        ("nowhere.py", None, "there is no file"),
        (lambda prompt, turns: None, None, "the tool <lambda> can't travel"),
    ],
)
def test_what_is_no_tool_is_refused(tool: ToolLike, most: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        turns_of(tool, most)


def test_an_own_tool_takes_no_settings_and_no_registered_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no settings"):
        turns_of(Tool(own(tmp_path, ECHO), {"x": 1}))
    with pytest.raises(UsageError, match="name of a registered tool"):
        turns_of(own(tmp_path, ECHO.replace("say", "calculator")))


def test_a_right_tool_passes_its_trial(tmp_path: Path, folder: Path) -> None:
    check_job(job(tmp_path, ECHO), folder, LocalFiles().path)


def test_a_file_may_have_a_tool_and_a_reward_that_is_shown_messages(tmp_path: Path, folder: Path) -> None:
    header = "# /// script\n# [tool.r1net]\n# on_timeout = -1.0\n# seconds = 2.0\n# ///\n"
    path = own(tmp_path, header + BOTH + "    return [float(completions[0][-1]['content'] != '')]\n")
    turns = turns_of(Path(f"{path}:say"))
    rewards = reward_specs(Path(f"{path}:score"), LocalFiles())
    assert rewards[0].code is not None
    assert turns.code is not None
    assert (rewards[0].code.on_timeout, rewards[0].code.seconds, turns.code.seconds) == (-1.0, 2.0, 2.0)
    check_job(job_spec(turns=turns, rewards=rewards), folder, LocalFiles().path)


DIFFERING = {
    "chance": "import random\ndef say(prompt, turns, **rest): return str(random.random())",
    "date": "import datetime\ndef say(prompt, turns, **rest): return str(datetime.date.today())",
    "set order": "def say(prompt, turns, **rest): return ''.join(set('abcdefghijklmnop'))",
    "history": "n = 0\ndef say(prompt, turns, **rest):\n    global n\n    n += 1\n    return str(n)",
}


@pytest.mark.parametrize("name", DIFFERING)
def test_one_that_depends_on_more_than_its_arguments_is_refused(name: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="to the same turns"):
        check_job(job(tmp_path, DIFFERING[name] + "\n"), folder, LocalFiles().path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def say(prompt, turns, **rest): return turns[5]", "fails on the turns"),
        ("def say(prompt, turns, **rest): return 7", "returns int"),
        ("def say(prompt, turns, **rest):\n    while True: pass", "takes too long"),
        ("import r1net\ndef say(prompt, turns, **rest): return None", "can't be loaded"),
        ("def say(): return None", "TypeError"),
    ],
)
def test_a_wrong_tool_is_refused_before_anything_is_paid(source: str, words: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match=words):
        check_job(job(tmp_path, source + "\n"), folder, LocalFiles().path)

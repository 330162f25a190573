"""Environments made with OpenEnv, played: textarena's number game, and the one that `openenv init` makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1net.adapters import openenv
from r1net.adapters.job import Job
from r1net.datasets.intake import prepare
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.own import reward_specs, tool_turns
from r1net.probe import check_job
from r1net.protocol.job import Evaluation
from r1net.protocol.problems import EnvironmentSpec
from tests.e2e.harness.chain import ROOT
from tests.integration.adapters.places import BUILD, PLACES, TEXTARENA, marks
from tests.integration.adapters.playing import Graded, Halving, episode, no_conversations, tool
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec

pytestmark = marks("openenv")

PLACE = PLACES["openenv"]
PAGE = (ROOT / "docs" / "your-data.md").read_text()


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The example of the docs."""
    file = tmp_path_factory.mktemp("game") / "game.py"
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    file.write_text(next(text for text in blocks if text.startswith("# game.py\n")))
    return openenv.job(f"{file}:Game", range(6), packages=TEXTARENA, root=BUILD)


@pytest.fixture(scope="module")
def graded(game: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    found = Graded(game, tmp_path_factory.mktemp("files"))
    yield found
    found.pool.close()


def test_a_player_who_listens_earns_more_than_one_who_does_not(game: Job, graded: Graded, tmp_path: Path) -> None:
    assert {frozenset(row) for row in game.rows} == {frozenset({"question", "reset"})}
    lengths = set()
    for row in game.rows:
        assert "between 1 and 20" in row["question"]
        with tool(game, tmp_path) as answer:
            won = episode(answer, row, Halving())
            lost = episode(answer, row, lambda heard: "qwxyz")
        lengths.add(len(won))
        assert graded.values(row, [won, lost, won[:1], ""])[0] == 1.0
        assert graded.values(row, [lost, "", "<think>[7]"]) == [0.0] * 3
    assert len(lengths) > 1, "each seed is another game"


def test_the_tool_says_the_same_in_every_process(game: Job, tmp_path: Path) -> None:
    row = game.rows[3]
    turns = [["[10]"], ["[10]", "[10]"], ["[10]", "no", "no"], ["[3]", "[4]"]]
    found = []
    for hash_seed in (0, 1):
        with tool(game, tmp_path, hash_seed) as answer:
            found.append([answer(row, some) for some in (turns if hash_seed else turns[::-1])])
    assert found[0][::-1] == found[1]
    assert any(found[1])


def test_what_travels_is_small_and_closed(game: Job, graded: Graded) -> None:
    code = graded.spec.code
    assert code is not None
    names = {name.partition("-")[0].lower() for name in code.wheels}
    assert {"openenv", "pydantic", "textarena"} <= names
    assert not {"gradio", "fastapi", "fastmcp", "openai"} & names
    assert sum(wheel.size for wheel in code.wheels.values()) < 16 * 2**20


def test_the_environment_that_openenv_ships_is_played(tmp_path: Path) -> None:
    """`openenv init` fills in this template, in two files."""
    (folder,) = PLACE.folder.glob("lib/python*/site-packages/openenv/cli/templates/openenv_env")
    made = (folder / "server" / "__ENV_NAME___environment.py").read_text()
    made = re.sub(r"try:\n    from \.\.models.*?\n\n\n", "\n\n", made, flags=re.DOTALL)
    file = tmp_path / "echo.py"
    text = (folder / "models.py").read_text() + made
    for name, value in {"CLASS_NAME": "Echo", "TITLE_NAME": "Echo", "NAME": "echo"}.items():
        text = text.replace(f"__ENV_{name}__", value)
    file.write_text(text)
    job = openenv.job(
        f"{file}:EchoEnvironment",
        [0],
        packages=TEXTARENA,
        question="Say something long.",
        observation="echoed_message",
        root=BUILD,
    )
    assert job.rows == [{"question": "Say something long.", "reset": {"seed": 0}}]
    graded = Graded(job, tmp_path / "files")
    try:
        assert graded.values(job.rows[0], ["x" * 20, "xx", '{"message": "xxxxx"}', ""]) == [1.0, 0.2, 0.5, 0.0]
    finally:
        graded.pool.close()
    with tool(job, tmp_path) as answer:
        assert answer(job.rows[0], ["one", "two"]) == "two"


BASE = """
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

class Move(Action):
    left: int
    right: int = 0

class Seen(Observation):
    text: str = "go"

class Own(Environment[Move, Seen, State]):
    def reset(self, seed=None, **rest):
        return Seen()
    def step(self, action: Move, **rest) -> Seen:
        return Seen(text=f"{action.left} {action.right}", reward=action.left, done=action.right > 9)
    @property
    def state(self):
        return State()
"""

REFUSED = {
    "no class": ("x = 1", "has no attribute 'Own'"),
    "needs a package": ("import numpy\n" + BASE, "No module named 'numpy'"),
    "asynchronous": (BASE.replace("def reset", "async def reset"), "asynchronous"),
    "untyped": (BASE.replace("[Move, Seen, State]", "").replace(": Move", ""), "annotate it"),
    "tools by MCP": (BASE.replace("class Own(", "class MCPEnvironment(") + "class Own(MCPEnvironment): pass\n", "MCP"),
    "its server": (BASE + "from openenv.core.env_server import create_app\n", "cannot import name .create_app"),
    "silent": (BASE.replace('"go"', '""'), "is empty"),
    "network": (
        BASE.replace("return Seen()", "import socket; socket.create_connection(('192.0.2.1', 9), 0.1)"),
        "TimeoutError|OSError|Error",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_travel_is_refused_in_words(name: str, tmp_path: Path) -> None:
    source, words = REFUSED[name]
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(UsageError, match=words) as refused:
        openenv.job(f"{tmp_path / 'own.py'}:Own", [0], packages=TEXTARENA, root=BUILD)
    assert "can't travel" in refused.value.message


def test_a_file_that_hides_a_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text(BASE)
    with pytest.raises(UsageError, match="another name"):
        openenv.job(f"{tmp_path / 'random.py'}:Own", [0], packages=TEXTARENA, root=BUILD)


def test_actions_of_several_fields_are_json_and_what_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BASE)
    job = openenv.job(f"{tmp_path / 'own.py'}:Own", [{"seed": 4}], packages=TEXTARENA, root=BUILD)
    (row,) = job.rows
    with tool(job, tmp_path) as answer:
        assert answer(row, ["5"]) == "5 0"
        assert answer(row, ['```json\n{"left": 2, "right": 3}\n```']) == "2 3"
        assert answer(row, ['{"left": 2, "right": 10}']) is None
        for text in ("", "{}", '{"left": "x"}', '{"left": 1, "other": 2}', "[" * 5000, '{"left": NaN}'):
            assert 'Answer with one JSON object: {"left": int, "right": int}' in (answer(row, [text]) or "")
        assert answer(row, ["what?", "6"]) == "6 0"
    graded = Graded(job, tmp_path / "files")
    try:
        turns = [{"role": "assistant", "content": text} for text in ("5", "no", '{"left": 2, "right": 10}', "7")]
        assert graded.values(row, [turns, turns[:2], "[" * 5000]) == [7.0, 5.0, 0.0]
    finally:
        graded.pool.close()


def test_the_whole_job_passes_its_trial(game: Job, tmp_path: Path) -> None:
    """Rows, tool and reward as `train` puts them together and tries them before anything is paid."""
    files, folder = LocalFiles(tmp_path / "files"), tmp_path / "model"
    folder.mkdir()
    for name, content in MODEL_FILES.items():
        (folder / name).write_bytes(content)
    data = prepare(game.arguments["dataset"], files, no_conversations, 0, 0).data
    spec = job_spec(
        environment=EnvironmentSpec(name="rows:game", data=data),
        evaluation=Evaluation(problems=0),
        rewards=reward_specs(game.arguments["reward"], files),
        turns=tool_turns(game.arguments["tool"], 8, lambda: "\n{reply}\n", files),
    )
    assert len(spec.codes) == 2
    assert spec.codes[0].files == spec.codes[1].files
    check_job(spec, folder, files.path)

"""Environments made with verifiers, played: textarena's games by its own environment, and a verifier of one turn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from r1net.adapters import verifiers
from r1net.adapters.job import Job
from r1net.datasets.intake import prepare
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.own import reward_specs
from r1net.probe import check_job
from r1net.protocol.job import Evaluation
from r1net.protocol.problems import EnvironmentSpec
from tests.integration.adapters.places import BUILD, ENVIRONMENTS, STARDATA, TEXTARENA, marks
from tests.integration.adapters.playing import Graded, Halving, episode, no_conversations, tool
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec

pytestmark = marks("games", "forms")

GAMES = str(ENVIRONMENTS / "games.py")
FORMS = str(ENVIRONMENTS / "forms.py")
HAIKU = "An old silent pond\nA frog jumps into the pond\nSplash! Silence again"


def made(game: str, tasks: int) -> Job:
    return verifiers.job(GAMES, tasks, packages=TEXTARENA, config={"game": game}, root=BUILD)


@pytest.fixture(scope="module")
def game() -> Job:
    return made("GuessTheNumber-v0", 5)


@pytest.fixture(scope="module")
def graded(game: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    found = Graded(game, tmp_path_factory.mktemp("files"))
    yield found
    found.pool.close()


def test_a_player_who_listens_earns_more_than_one_who_does_not(game: Job, graded: Graded, tmp_path: Path) -> None:
    assert [row["task"]["idx"] for row in game.rows] == [0, 1, 2, 3, 4]
    assert game.arguments["dataset"].heldout == 0, "all ask the same"
    lengths = set()
    with tool(game, tmp_path) as answer:
        for row in game.rows:
            assert [one["role"] for one in row["messages"]] == ["system", "user"]
            won = episode(answer, row, Halving())
            lost = episode(answer, row, lambda heard: "qwxyz")
            assert len(lost) == 3, "the second move that is none ends the game"
            assert graded.values(row, [won, lost, won[:1], ""])[0] == 1.0
            assert graded.values(row, [lost, "", "<think>[7]"]) == [0.0] * 3
            lengths.add(len(won))
    assert len(lengths) > 1, "each task is another game"


def test_the_tool_says_the_same_in_every_process_and_order(game: Job, tmp_path: Path) -> None:
    row = game.rows[3]
    turns = [["[10]"], ["[10]", "[10]"], ["[10]", "no", "no"], ["[3]", "[4]"]]
    found = []
    for hash_seed in (0, 1):
        with tool(game, tmp_path, hash_seed) as answer:
            found.append([answer(row, some) for some in (turns if hash_seed else turns[::-1])])
    assert found[0][::-1] == found[1]
    assert any(found[1])


def test_another_game_of_the_same_package(tmp_path: Path) -> None:
    """Mastermind: who tries codes that fit all that was said breaks them; who says one again and again doesn't."""
    job = made("Mastermind-v0", 2)
    row = job.rows[1]
    codes = list(permutations("123456", 4))

    def breaker(heard: str) -> str:
        if "black" in heard:
            words = heard.split()
            tried, said = codes[0], (int(words[0]), int(words[3]))
            codes[:] = [code for code in codes if pegs(tried, code) == said and code != tried]
        return f"[{' '.join(codes[0])}]"

    with tool(job, tmp_path) as answer:
        won = episode(answer, row, breaker, most=20)
        lost = episode(answer, row, lambda heard: "[1 2 3 4]", most=20)
    graded = Graded(job, tmp_path)
    try:
        high, low = graded.values(row, [won, lost])
    finally:
        graded.pool.close()
    assert high == 1.0
    assert low < 1.0


def pegs(guess: tuple[str, ...], code: tuple[str, ...]) -> tuple[int, int]:
    black = sum(one == other for one, other in zip(guess, code, strict=True))
    return black, len(set(guess) & set(code)) - black


def test_what_travels_fits_the_limits_with_room(game: Job, graded: Graded) -> None:
    code = graded.spec.code
    assert code is not None
    names = {name.partition("-")[0].lower() for name in code.wheels}
    assert {"verifiers", "pydantic", "textarena"} <= names
    assert not {"anthropic", "transformers", "mcp"} & names
    assert len(code.wheels) < 60
    assert sum(wheel.size for wheel in code.wheels.values()) < 64 * 2**20


def test_a_verifier_of_one_turn_from_its_rows_to_its_trial(tmp_path: Path) -> None:
    job = verifiers.job(FORMS, 100, packages=STARDATA, config={"forms": ["haiku", "snowball"]}, root=BUILD)
    assert set(job.arguments) == {"dataset", "reward"}, "nothing is said between turns"
    assert len(job.rows) == 8, "all that there are"
    graded = Graded(job, tmp_path / "files")
    try:
        message = [{"role": "assistant", "content": f"<think>five, seven</think>\n{HAIKU}"}]
        one, same, half, nothing = graded.values(job.rows[0], [HAIKU, message, "An old silent pond", ""])
        assert one == same == 1.0
        assert one > half > nothing == 0.0
    finally:
        graded.pool.close()
    files = LocalFiles(tmp_path / "files")
    data = prepare(job.arguments["dataset"], files, no_conversations, 0, 0).data
    spec = job_spec(
        environment=EnvironmentSpec(name="rows:forms", data=data),
        evaluation=Evaluation(problems=0),
        rewards=reward_specs(job.arguments["reward"], files),
    )
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in MODEL_FILES.items():
        (folder / name).write_bytes(content)
    check_job(spec, folder, files.path)


TASKSET = """
import asyncio, random
import verifiers.v1 as vf

__all__ = ["Own"]

class Data(vf.TaskData):
    answer: str

class Sum(vf.Task[Data, vf.State, vf.TaskConfig]):
    @vf.reward(weight=2.0)
    async def right(self, task, trace) -> float:
        await asyncio.sleep(3600)
        return float(trace.last_reply == task.answer)

    @vf.reward
    async def parts(self, trace) -> dict:
        said = [message.content for message in trace.assistant_messages]
        return {"turns": 0.01 * trace.num_turns, "short": 0.1 * (len(said[-1]) < 3 if said else 0)}

    @vf.metric
    async def length(self, trace) -> float:
        return len(trace.transcript)

class Own(vf.Taskset[Sum, vf.TasksetConfig]):
    def load(self):
        for a in range(3):
            yield Sum(Data(prompt=f"What is {a} + 1?", answer=str(a + 1)), self.config.task)
"""
TALKING = (
    TASKSET.replace('["Own"]', '["Own", "Talk"]').replace('prompt=f"What is {a} + 1?", ', "")
    + """
class TalkConfig(vf.EnvConfig):
    player: vf.AgentConfig = vf.AgentConfig()

class Talk(vf.Env[TalkConfig]):
    async def run(self, task, agents):
        async with agents.player.interaction(task) as talk:
            segment = await talk.turn("What comes after " + str(int(task.data.answer) - 1) + "?")
            while not segment.terminated and segment.last_reply != task.data.answer:
                segment = await talk.turn([vf.UserMessage(content="No: "), vf.UserMessage(content=segment.last_reply)])
        talk.trace.record_reward("talked", 5)

    async def finalize(self, task, episode):
        for trace in episode.traces:
            trace.record_reward("last", trace.num_turns, weight=0.5)
"""
)


def own(source: str, folder: Path, tasks: int = 2) -> Job:
    (folder / "own.py").write_text(source)
    return verifiers.job(str(folder / "own.py"), tasks, packages=TEXTARENA, root=BUILD)


def test_rewards_are_added_by_their_weights(tmp_path: Path) -> None:
    """Also such as wait: nobody waits for an hour."""
    job = own(TASKSET, tmp_path)
    assert [(row["question"], row["answer"]) for row in job.rows] == [("What is 0 + 1?", "1"), ("What is 1 + 1?", "2")]
    graded = Graded(job, tmp_path / "files")
    try:
        found = graded.values(job.rows[1], ["2", "<think>1 + 1</think> 2", "3", "two"])
    finally:
        graded.pool.close()
    assert found == pytest.approx([2.11, 2.11, 0.11, 0.01])


def test_an_environment_may_speak_first_and_judge_last(tmp_path: Path) -> None:
    job = own(TALKING, tmp_path)
    row = job.rows[1]
    assert (row["question"], row["answer"]) == ("What comes after 1?", "2")
    with tool(job, tmp_path) as answer:
        assert answer(row, ["7"]) == "No: \n\n7"
        assert answer(row, ["7", "2"]) is None
    graded = Graded(job, tmp_path / "files")
    try:
        right = [{"role": "assistant", "content": "7"}, {"role": "tool", "content": "No"}]
        found = graded.values(row, [[*right, {"role": "assistant", "content": "2"}], "7"])
    finally:
        graded.pool.close()
    assert found == pytest.approx([2 + 0.02 + 0.1 + 5 + 1, 0.01 + 0.1 + 5 + 0.5])


REFUSED = {
    "container": (TASKSET.replace("    @vf.metric", "    NEEDS_CONTAINER = True\n    @vf.metric"), "a container"),
    "image": (TASKSET.replace("Data(prompt", 'Data(image="python:3", prompt'), "a container"),
    "setup": (
        TASKSET.replace("    @vf.metric", "    async def setup(self, trace, runtime): 1\n    @vf.metric"),
        "prepares",
    ),
    "runtime": (TASKSET.replace("right(self, task, trace)", "right(self, task, trace, runtime)"), "rewards look at"),
    "stop": (TASKSET.replace("@vf.metric", "@vf.stop"), "end a turn"),
    "judge": (
        TASKSET.replace("self.config.task)", 'vf.TaskConfig(judges=[{"id": "reference"}]))'),
        "a judge",
    ),
    "models": (
        TALKING.replace("    player: vf", "    user: vf.AgentConfig = vf.AgentConfig()\n    player: vf"),
        r"several models play in it \(user, player\)",
    ),
    "outside": (
        TALKING.replace("        talk.trace.record", "        await asyncio.Event().wait()\n        talk.trace.record"),
        "waits",
    ),
    "threads": (TASKSET.replace("await asyncio.sleep(3600)", "await asyncio.to_thread(print)"), "threads"),
    "no taskset": ("__all__ = []", "exports no Taskset"),
    "no tasks": (TASKSET.replace("range(3)", "range(0)"), "has no tasks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_travel_is_refused_in_words(name: str, tmp_path: Path) -> None:
    source, words = REFUSED[name]
    assert source not in (TASKSET, TALKING)
    with pytest.raises(UsageError, match=words):
        own(source, tmp_path)


def test_what_downloads_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """textarena's word games read lists that nltk downloads."""
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="can't travel: LookupError"):
        verifiers.job("textarena", 1, packages=TEXTARENA, config={"game": "Wordle-v0"}, root=BUILD)


def test_a_file_that_hides_a_taskset_of_verifiers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "harbor.py").write_text(TASKSET)
    with pytest.raises(UsageError, match="another name"):
        verifiers.job(str(tmp_path / "harbor.py"), 1, packages=TEXTARENA, root=BUILD)

"""A submitter's own reward, from a function or a file to what a job carries; refused in words where it can't travel."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from eth_account import Account

from r1net import Client
from r1net.errors import UsageError
from r1net.local_files import LocalFiles
from r1net.own import Rewards
from r1net.own import reward_specs as specs_of
from r1net.own.script import read_script
from r1net.own.source import source_of
from r1net.probe import check_job
from r1net.protocol.canonical import sha256
from r1net.protocol.job import JobSpec, RewardSpec
from tests.unit.coordinator.jobs import MODEL_FILES, job_spec

RIGHT = "def score(completions, answer, **rest):\n    return [float(completions[0] == answer[0])]\n"


def reward_specs(rewards: Rewards) -> tuple[RewardSpec, ...]:
    """The specifications, with their files among those of this test."""
    return specs_of(rewards, LocalFiles())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    for name, data in MODEL_FILES.items():
        (made / name).write_bytes(data)
    return made


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a file with this source as a module."""

    def made(source: str) -> ModuleType:
        path = tmp_path / "mine.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("mine", path)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules["mine"] = found
        spec.loader.exec_module(found)
        return found

    yield made
    sys.modules.pop("mine", None)


def job(tmp_path: Path, source: str, *others: Any) -> JobSpec:
    path = tmp_path / "mine.py"
    path.write_text(source)
    return job_spec(rewards=reward_specs([(path, 1.0), *others]))


def test_a_function_and_its_file_come_to_the_same(module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    function = module(RIGHT).score
    path = tmp_path / "mine.py"
    (spec,) = reward_specs(function)
    assert spec.name == "score"
    assert spec.code is not None
    assert spec.code.source.sha256 == sha256(RIGHT.encode())
    assert LocalFiles().require(spec.code.source.sha256).read_bytes() == RIGHT.encode()
    assert reward_specs(path) == reward_specs(str(path)) == reward_specs(f"{path}:score") == (spec,)
    weighted = reward_specs([("correct", 1.0), (function, 0.5)])
    assert [(one.name, one.weight, one.code is None) for one in weighted] == [
        ("correct", 1, True),
        ("score", 0.5, False),
    ]


def test_a_name_is_a_registered_reward() -> None:
    assert reward_specs("correct")[0].code is None


TRAVELLING = """
import asyncio, functools
def outer():
    held = 1
    def inner(**rest): return [held]
    return inner
inner = outer()
nameless = lambda **rest: [1.0]
async def later(**rest): return [1.0]
def several(**rest): yield 1.0
class Graders:
    def __call__(self, **rest): return [1.0]
    def method(self, **rest): return [1.0]
    @staticmethod
    def static(**rest): return [1.0]
def twice(**rest): return [1.0]
first = twice
def twice(**rest): return [2.0]
"""


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        (lambda found: found.inner, "within another function"),
        (lambda found: found.nameless, "lambda"),
        (lambda found: found.later, "coroutine"),
        (lambda found: found.several, "generator"),
        (lambda found: found.Graders(), "a Graders, not a function"),
        (lambda found: found.Graders().method, "a method, not a function"),
        (lambda found: found.Graders.static, "a class"),
        (lambda found: found.first, "something else under its name"),
        (lambda found: partial(found.twice), "a partial, not a function"),
        (lambda found: len, "not a function"),
    ],
)
def test_what_its_file_alone_does_not_make_cannot_travel(
    module: Callable[[str], ModuleType], pick: Callable[[ModuleType], Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        source_of(pick(module(TRAVELLING)))
    assert "a file of its own" in str(refused.value.hint)


def test_what_was_typed_in_cannot_travel() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(RIGHT, "<stdin>", "exec"), space)
    with pytest.raises(UsageError, match="in no file"):
        source_of(space["score"])


@pytest.mark.parametrize(
    ("source", "words"),
    [("x = 1\n", "none"), (RIGHT + "def other(): pass\n", "score, other"), ("def (", "no Python"), ("\0", "no Python")],
)
def test_a_file_must_say_which_function(source: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(UsageError, match=words):
        source_of(tmp_path / "mine.py")
    with pytest.raises(UsageError, match="no file"):
        source_of(tmp_path / "other.py")


HEADER = """#!/usr/bin/env python
# /// script
# requires-python = ">=3.8"
# dependencies = [
#   "sympy<2",
#   "numpy; python_version >= '3'",
# ]
#
# [tool.r1net]
# seconds = 2.5
# on_timeout = -1
# ///
"""


def test_a_header_is_read_as_pep_723_has_it() -> None:
    script = read_script(HEADER + RIGHT, "mine.py")
    assert script.dependencies == ("sympy<2", "numpy; python_version >= '3'")
    assert script.settings == {"seconds": 2.5, "on_timeout": -1}
    assert read_script(HEADER.replace("\n", "\r\n") + RIGHT, "mine.py") == script
    assert read_script(RIGHT, "mine.py").dependencies == ()
    assert read_script("# /// pyproject\n# dependencies = 1\n# ///\n", "mine.py").dependencies == ()
    assert read_script("# /// script\n# dependencies = 1\n", "mine.py").dependencies == (), "not closed: no block"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("dependencies = [", "no TOML"),
        ("dependencies = 'numpy'", "must be a list"),
        ("dependencies = [1]", "no requirement"),
        ("dependencies = ['-r evil.txt']", "no requirement"),
        ("dependencies = ['--index-url=http://evil']", "no requirement"),
        ("dependencies = ['a @ file:///tmp/a.whl']", "names an address"),
        ("requires-python = '>=3.99'", "requires Python >=3.99"),
        ("requires-python = 'new'", "no version specifier"),
        ("[tool.r1net]\n# minutes = 1", "may have seconds"),
        ("[tool.r1net]\n# closed = 1", "true or false"),
        ("a = 1\n# ///\n\n# /// script\n# b = 1", "2 blocks"),
    ],
)
def test_a_wrong_header_is_refused_in_words(lines: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_script(f"# /// script\n# {lines}\n# ///\n", "mine.py")


@pytest.mark.parametrize("line", ["seconds = 0", "seconds = 11", "memory_bytes = 1", "on_timeout = 'much'"])
def test_settings_are_those_of_the_protocol(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=line.split(maxsplit=1)[0]):
        job(tmp_path, f"# /// script\n# [tool.r1net]\n# {line}\n# ///\n{RIGHT}")


def test_dependencies_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    header = "# /// script\n# dependencies = ['r1net-there-is-no-such-package==0.0.1']\n# ///\n"
    with pytest.raises(UsageError, match=r"can't be had as wheels: ERROR.*no-such-package"):
        job(tmp_path, header + RIGHT)


def test_dependencies_come_as_wheels_and_are_imported_from(tmp_path: Path, folder: Path) -> None:
    header = "# /// script\n# dependencies = ['mpmath']\n# ///\nimport mpmath\n"
    source = header + "def score(completions, **rest):\n    return [float(mpmath.sqrt(len(completions[0])))]\n"
    spec = job(tmp_path, source)
    assert spec.rewards[0].code is not None
    assert [name.partition("-")[0] for name in spec.rewards[0].code.wheels] == ["mpmath"]
    assert all(
        LocalFiles().require(ref.sha256).stat().st_size == ref.size for ref in spec.rewards[0].code.wheels.values()
    )
    check_job(spec, folder, LocalFiles().path)


def test_a_closed_list_is_all_that_comes(tmp_path: Path) -> None:
    """jinja2 names markupsafe, which the file says that it does without."""
    header = (
        "# /// script\n# dependencies = ['jinja2==3.1.6']\n#\n# [tool.r1net]\n# closed = true\n# seconds = 2\n# ///\n"
    )
    spec = job(tmp_path, header + RIGHT)
    assert spec.rewards[0].code is not None
    assert [name.partition("-")[0] for name in spec.rewards[0].code.wheels] == ["jinja2"]
    assert spec.rewards[0].code.seconds == 2
    open_ = job(tmp_path, header.replace("true", "false") + RIGHT)
    assert open_.rewards[0].code is not None
    assert len(open_.rewards[0].code.wheels) == 2


def test_the_example_of_the_docs_passes_its_trial(tmp_path: Path, folder: Path) -> None:
    docs = Path(__file__).parents[3] / "docs" / "inputs.md"
    (example,) = re.findall(r"```python\n(.*?)```", docs.read_text(), re.DOTALL)
    spec = job(tmp_path, example)
    assert spec.rewards[0].code is not None
    assert spec.rewards[0].code.seconds == 2.0
    check_job(spec, folder, LocalFiles().path)


def test_a_right_reward_passes_its_trial(tmp_path: Path, folder: Path) -> None:
    check_job(job(tmp_path, RIGHT, ("correct", 1.0)), folder, LocalFiles().path)


DIFFERING = {
    "chance": "import random\ndef score(**rest): return [random.random()]",
    "time": "import time\ndef score(**rest): return [float(int(time.time()) % 1000000)]",
    "date": "import datetime\ndef score(**rest): return [float(datetime.date.today().month)]",
    "set order": "def score(**rest): return [float(sum(n * ord(c) for n, c in enumerate(set('abcdefghijklmnop'))))]",
    "hash": "def score(completions, **rest): return [float(hash(completions[0] + 'x') % 7)]",
    "history": "n = 0\ndef score(**rest):\n    global n\n    n += 1\n    return [float(n)]",
    "address": "def score(**rest): return [float(id(object()) % 1009)]",
}


@pytest.mark.parametrize("name", DIFFERING)
def test_a_reward_that_depends_on_more_than_its_arguments_is_refused(name: str, tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="for the same answer"):
        check_job(job(tmp_path, DIFFERING[name] + "\n"), folder, LocalFiles().path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def score(completions, **rest): return [float(completions[0])]", "fails on the answer"),
        ("def score(completions, **rest): return float(len(completions))", "not a list"),
        ("def score(**rest):\n    while True: pass", "too long"),
        ("def score(**rest): return [None]", "always gives None"),
        ("import r1net\ndef score(**rest): return [1.0]", "can't be loaded"),
        ("def correct(**rest): return [1.0]", "registered reward"),
    ],
)
def test_a_wrong_reward_is_refused_before_anything_is_paid(
    source: str, words: str, tmp_path: Path, folder: Path
) -> None:
    spec = job(tmp_path, source + "\n")
    with (
        Client("https://nowhere.invalid", account=Account.create()) as client,
        pytest.raises(UsageError, match=words),
    ):
        client.submit(spec, folder)


def test_files_that_are_gone_or_changed_are_an_error(tmp_path: Path) -> None:
    (spec,) = reward_specs(_written(tmp_path))
    assert spec.code is not None
    digest = spec.code.source.sha256
    LocalFiles().path(digest).write_text("other")
    with pytest.raises(UsageError, match="was changed"):
        LocalFiles().require(digest)
    LocalFiles().path(digest).unlink()
    with pytest.raises(UsageError, match="not on this machine"):
        LocalFiles().require(digest)


def _written(folder: Path) -> Path:
    path = folder / "mine.py"
    path.write_text(RIGHT)
    return path

"""The adapters without an environment installed: what is refused before anything is, and the file that travels.

Environments that are played: tests/integration/adapters.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.adapters import openenv, verifiers
from r1net.adapters.bodies.common import said, turns_of
from r1net.adapters.job import Job, _write, source_of
from r1net.adapters.places import Place
from r1net.errors import UsageError
from r1net.own.script import read_script

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("adapter", ["openenv", "verifiers"])
@given(config=st.dictionaries(st.text(), JSON, max_size=3), source=st.text(st.characters(codec="utf-8")))
def test_the_settings_arrive_whatever_they_hold(
    adapter: str, config: dict[str, Any], source: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No text of them becomes code, or a header of its own."""
    settings = {"module": "own", "name": "Own", "source": f"{source}\n# ///\n", "config": config}
    pins = ["one==1.0", "two==2.0"]
    place = Place.of(adapter, [], tmp_path_factory.getbasetemp() / "made-by-adapters")
    path = _write(place, settings, pins, 2.5)
    text = path.read_text()
    path.unlink()
    found = [one.value for one in ast.parse(text).body if isinstance(one, ast.AnnAssign) and one.value]
    assert ast.literal_eval(found[0]) == settings
    script = read_script(text, path.name)
    assert (script.dependencies, script.closed) == (("one==1.0", "two==2.0"), True)
    assert script.settings == {"seconds": 2.5, "import_seconds": 60, "memory_bytes": 2**30}
    assert "r1net.adapters.bodies" not in text.replace(source, "")


def test_the_pins_of_an_adapter_are_exact() -> None:
    for adapter in ("openenv", "verifiers"):
        lines = Place.of(adapter, [], None).pins.read_text().splitlines()
        pins = [line for line in lines if not line.startswith("#")]
        assert all(line.count("==") == 1 for line in pins)
        assert pins == sorted(pins)


def test_a_place_is_another_for_other_packages(tmp_path: Path) -> None:
    one, two = (Place.of("openenv", packages, tmp_path) for packages in (["a==1"], ["a==2"]))
    assert one.folder != two.folder
    assert one.folder == Place.of("openenv", ["a==1"], tmp_path).folder
    assert not one.ready


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ("[5]", "[5]"),
        ("<think>[3]</think>\n [5] \n", "[5]"),
        ("[3]</think>[5]", "[5]"),
        ("<think>[3]", ""),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("", ""),
    ],
)
def test_reasoning_is_no_move(turn: str, words: str) -> None:
    assert said(turn) == words


def test_turns_are_the_assistants() -> None:
    assert turns_of("one") == ["one"]
    messages = [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"}]
    assert turns_of([*messages, {"role": "assistant", "content": "c"}]) == ["a", "c"]


@pytest.mark.parametrize("rows", [[{"question": "a"}, {"question": "b"}], [{"question": "a"}, {"question": "a"}]])
def test_nothing_is_held_out_of_what_asks_the_same(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    made = Job(rows, tmp_path / "own.py", played=True).arguments
    assert (made["dataset"].heldout == 0) == (rows[0] == rows[1])
    assert made["tool"].endswith("own.py:play")
    assert "tool" not in Job(rows, tmp_path / "own.py", played=False).arguments


@pytest.mark.parametrize("name", ["Game", "game.py", "game:", ":Game", "game:some thing", "game:Game()"])
def test_what_names_no_class_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no environment"):
        openenv.job(name, [0], root=tmp_path)


def test_files_are_checked_before_anything_is_installed(tmp_path: Path) -> None:
    for call in (openenv.job, verifiers.job):
        suffix = ":Own" if call is openenv.job else ""
        with pytest.raises(UsageError, match="no file"):
            call(f"{tmp_path}/own.py{suffix}", [0] if suffix else 1, root=tmp_path / "root")  # type: ignore[operator]
    (tmp_path / "bytes.py").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        source_of(str(tmp_path / "bytes.py"))
    (tmp_path / "My-own.py").write_text("")
    with pytest.raises(UsageError, match="no module's name"):
        source_of(str(tmp_path / "My-own.py"))
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("package", ["-r evil.txt", "--index-url=x", "a b", ""])
def test_what_is_no_requirement_is_refused(package: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no requirement"):
        verifiers.job("textarena", 1, packages=[package], root=tmp_path)


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't be installed.*no-such-package"):
        openenv.job("own:Own", [0], packages=["r1net-there-is-no-such-package==0.0.1"], root=tmp_path)

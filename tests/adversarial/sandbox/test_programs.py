"""The reward `code`: right programs pass, wrong ones don't, and no program can say that it did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, OrderedDict, namedtuple
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1net.errors import UsageError
from r1net.protocol.job import RewardSpec
from r1net.rewards import RewardSet
from r1net.sandbox.judge import CodeReward
from r1net.sandbox.own import Call, OwnMark
from r1net.sandbox.programs import program_of
from r1net.sandbox.values import Unknown, decode, encode
from tests.adversarial.sandbox.mutants import problems, solution
from tests.sandbox import SANDBOX


def judged(answers: list[str], columns: dict[str, Any], prompt: str = "", **config: Any) -> list[OwnMark]:
    reward = CodeReward(SANDBOX, "job", RewardSpec(name="code", config=config))
    return reward.grade([[Call(prompt, answer, columns, answer) for answer in answers]])[0]


def values(answers: list[str], columns: dict[str, Any], prompt: str = "", **config: Any) -> list[float | None]:
    marks = judged(answers, columns, prompt, **config)
    assert not [mark.fault for mark in marks if mark.fault]
    return [mark.value for mark in marks]


def test_every_right_program_of_humaneval_passes() -> None:
    for row in problems():
        fenced = f"Here it is:\n```python\n{solution(row)}\n```\nThat is all."
        assert values([fenced], row, row["prompt"]) == [1.0], row["task_id"]


def test_no_mutant_of_humaneval_passes() -> None:
    """Wrong in one operator, constant or return; each fails when it is run plainly."""
    made = subprocess.run(
        [sys.executable, "-m", "tests.adversarial.sandbox.mutants"], check=True, capture_output=True, text=True
    )
    wrong = json.loads(made.stdout)
    rows = {row["task_id"]: row for row in problems()}
    assert wrong.keys() == rows.keys()
    assert len(rows) == 164
    assert all(wrong.values()), "a problem without a wrong program"
    passed = [
        task
        for task, programs in wrong.items()
        if any(values([f"```python\n{one}\n```" for one in programs], rows[task], rows[task]["prompt"]))
    ]
    assert passed == []


DOUBLE = {"test": "def check(f):\n    assert f(2) == 4\n    assert f(3) == 6\n", "entry_point": "double"}
RIGHT = "def double(n):\n    return 2 * n\n"

CHEATS = {
    "wrong": "def double(n): return n",
    "nothing": "",
    "no python": "def double(n) return 2 * n",
    "exit": "import sys; sys.exit(0)",
    "exit in the call": "import sys\ndef double(n): sys.exit(0)",
    "hard exit": "import os; os._exit(0)",
    "hard exit in the call": "import os\ndef double(n): os._exit(0)",
    "exit at exit": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef double(n): return n",
    "raise": "def double(n): raise SystemExit(0)",
    "assertion": "def double(n): raise AssertionError",
    "catch everything": "try:\n    check\nexcept BaseException:\n    pass\ndef double(n): return None",
    "equal to all": "class Yes:\n    def __eq__(self, other): return True\ndef double(n): return Yes()",
    "number equal to all": "class Yes(int):\n    def __eq__(self, other): return True\ndef double(n): return Yes(1)",
    "bool of builtins": "import builtins\nbuiltins.AssertionError = KeyError\ndef double(n): return n",
    "its own check": "def check(f): pass\ndef double(n): return n",
    "print": "print('passed 1'); print('{\"passed\": 1}')\ndef double(n): return n",
    "trace": "import sys\nsys.settrace(lambda *a: None)\ndef double(n): return n",
    "monkeypatch": "import builtins\nbuiltins.len = builtins.abs = lambda *a: 4\ndef double(n): return abs(n)",
    "forged verdict": (
        "import gc, json, os, stat, struct, sys\n"
        "def double(n):\n"
        "    frame = sys._getframe()\n"
        "    while frame and 'call' not in frame.f_locals: frame = frame.f_back\n"
        "    asked = frame.f_locals['call']['asked']\n"
        "    for fd in range(64):\n"
        "        try:\n"
        "            if stat.S_ISSOCK(os.fstat(fd).st_mode):\n"
        "                data = json.dumps({'passed': 1, 'asked': asked}).encode()\n"
        "                os.write(fd, struct.pack('>QB', len(data), 0) + data)\n"
        "        except OSError: pass\n"
        "    return n\n"
    ),
    "worker taken over": (
        "import gc\n"
        "for one in gc.get_objects():\n"
        "    if isinstance(one, dict) and 'run_tests' in one:\n"
        "        one['encode'] = one['decode'] = lambda *a: b'true'\n"
        "def double(n): return n"
    ),
    "endless": "def double(n):\n    while True: pass",
    "asleep": "import time\ndef double(n): time.sleep(1000)",
    "sleepless": "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\ndef double(n): return n",
    "deep": "def double(n):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "itself": "def double(n):\n    x = []; x.append(x); return x",
    "large": "def double(n): return 'x' * 10**8",
    "memory": "def double(n): return [0] * 10**10",
    "a generator": "def double(n):\n    yield 2 * n",
    "text": "def double(n): return str(2 * n)",
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_program_that_does_not_do_it_earns_nothing(name: str) -> None:
    cheat, honest = values([CHEATS[name], RIGHT], DOUBLE, seconds=0.5)
    assert cheat == 0.0
    assert honest == 1.0, "and the next one is judged for itself"


def test_what_the_prompt_defines_is_not_asked_of_the_program() -> None:
    """HumanEval/32 checks `poly(xs, find_zero(xs))`: a program may define another `poly`."""
    row = next(row for row in problems() if row["task_id"] == "HumanEval/32")
    cheat = "def poly(xs, x): return 0.0\ndef find_zero(xs): return 0.0\n"
    assert values([cheat], row, row["prompt"]) == [0.0]


def test_modules_in_tests_are_pythons_own() -> None:
    columns = {"test_list": ["assert math.isclose(half(3), 1.5)"]}
    cheat = "class math:\n    isclose = staticmethod(lambda *a: True)\ndef half(n): return n"
    assert values([cheat, "def half(n): return n / 2"], columns) == [0.0, 1.0]


def test_assertions_as_mbpp_has_them_all_or_a_share() -> None:
    columns = {
        "test_list": ["assert f(1) == (1, [2])", "assert f(2) == (2, [3])", "assert f(0) == LIMIT"],
        "test_setup_code": "LIMIT = (0, [1])",
        "test_imports": ["import math"],
    }
    programs = ["def f(n): return n, [n + 1]", "def f(n): return (n, [n + 1]) if n else None", "LIMIT = None\nf = id"]
    assert values(programs, columns) == [1.0, 0.0, 0.0]
    assert values(programs, columns, share=True) == [1.0, pytest.approx(2 / 3), 0.0]


def test_programs_that_read_and_print() -> None:
    columns = {"tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 5", "output": "10"}]}
    right = "if __name__ == '__main__':\n    a, b = map(int, input().split())\n    print(a + b, '')\n    exit()\n"
    ends = "import sys\na, b = map(int, sys.stdin.read().split())\nprint(a + b)\nsys.exit(1)\n"
    wrong = "print(3)"
    silent = "import os\nos.write(1, b'3')"
    raises = "print(sum(map(int, input().split())))\nraise ValueError"
    forged = "import sys\nsys.stdout.write('3')\nimport os\nos._exit(0)"
    assert values([right, ends, wrong, silent, raises, forged], columns) == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert values([wrong], columns, share=True) == [0.5]


@pytest.mark.parametrize(
    "columns", [{}, {"tests": []}, {"tests": [1]}, {"tests": "x"}, {"test": "x", "entry_point": "a b"}]
)
def test_a_problem_without_tests_has_no_mark(columns: dict[str, Any]) -> None:
    assert values([RIGHT], columns) == [None]


def test_tests_that_are_no_python_are_the_jobs_fault() -> None:
    (mark,) = judged([RIGHT], {"test_list": ["assert f("]})
    assert "no Python" in (mark.fault or "")


def test_a_program_over_its_time_is_said_to_be() -> None:
    (mark,) = judged([CHEATS["endless"]], DOUBLE, seconds=0.2)
    assert (mark.value, mark.over, mark.doubtful, mark.late) == (0.0, True, True, 0.0)


def test_the_last_closed_block_counts() -> None:
    assert program_of("```python\na\n```\ntext\n```py\nb\n```\n") == "b\n"
    assert program_of("```\na\n```") == "a\n"
    assert program_of("a = 1") == "a = 1"
    assert program_of("```python\na\n```\n```python\nb") == "a\n"
    assert len(program_of("```python\n" * 100_000)) <= 1_000_000


def test_settings_are_checked_with_the_job() -> None:
    RewardSet([RewardSpec(name="code", config={"share": True, "seconds": 1.5})])
    for config in ({"seconds": 0}, {"seconds": 11}, {"tests": []}, {"share": "maybe"}):
        with pytest.raises(UsageError, match="refuses its settings"):
            RewardSet([RewardSpec(name="code", config=config)])


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3)), inner)
    ),
    max_leaves=12,
)


@given(plain | st.sets(st.integers()) | st.frozensets(st.text(max_size=4)) | st.complex_numbers(allow_nan=False))
def test_plain_values_come_over_as_they_are(value: Any) -> None:
    found = decode(encode(value))
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value) or isinstance(value, set | frozenset)


def test_derived_values_come_over_as_what_they_derive_from() -> None:
    class Sly(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    pair = namedtuple("pair", "a b")
    colour = IntEnum("colour", "RED GREEN")
    for value, wanted in (
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (pair(1, 2), (1, 2)),
        (colour(1), 1),
        (Sly(3), 3),
    ):
        found = decode(encode(value))
        assert found == wanted
        assert type(found) is type(wanted)
    assert isinstance(decode(encode(object())), Unknown)
    assert decode(encode(object())) != decode(encode(object()))

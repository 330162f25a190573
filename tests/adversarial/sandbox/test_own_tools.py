"""A stranger's own tool, and the tool `python` with what a model may write: neither hurts anybody but its own job."""

from __future__ import annotations

from typing import Any

import pytest

from r1net.errors import UsageError
from r1net.protocol.turns import Turns
from r1net.sandbox import Limits, SandboxPool
from r1net.sandbox.own_tool import Answered, ToolCall, check_turns
from r1net.sandbox.python import PythonTool
from r1net.sandbox.stranger import LONGEST
from r1net.tools.python import DIFFERS, TOO_LONG
from tests.adversarial.sandbox.test_own_rewards import REFUSED
from tests.adversarial.sandbox.tools import ToolKit
from tests.sandbox import SANDBOX


def body(text: str) -> str:
    """A tool whose body this is."""
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    return f"seen = []\ndef answer(prompt, turns, **columns):\n{lines}\n"


def test_it_is_called_with_question_turns_and_columns() -> None:
    source = body(
        "assert prompt == 'question' and isinstance(turns, list)\n"
        "return None if len(turns) > 2 else f\"{turns[-1]}, {columns['name']}\""
    )
    one, two, three = ToolKit(source).answers(["a"], ["a", "b"], ["a", "b", "c"], name="you")
    assert (one.text, two.text, three.text) == ("a, you", "b, you", None)
    assert not one.fault
    assert not three.fault


FAULTS = {
    "return 1": "returns int",
    "return b'x'": "returns bytes",
    "return type('Sly', (str,), {})('x')": "returns Sly",
    "return ['x']": "returns list",
    f"return 'x' * {LONGEST + 1}": "characters",
    "return '\\ud800'": "UnicodeEncodeError",
    "return turns[7]": "IndexError",
    "raise SystemExit(0)": "SystemExit",
    "import os; os._exit(0)": "ends its process",
}


@pytest.mark.parametrize(("text", "words"), FAULTS.items())
def test_what_is_no_answer_says_nothing_and_the_next_call_has_its_own(text: str, words: str) -> None:
    """Also behind a fault: what a completion makes of the tool is no other completion's affair."""
    source = body(f"if turns[-1] == 'bad':\n    {text}\nreturn turns[-1]")
    first, bad, last = ToolKit(source).answers(["a"], ["bad"], ["b"])
    assert (first.text, bad.text, last.text) == ("a", None, "b")
    assert words in (bad.fault or "")


def test_one_that_ends_its_process_again_and_again_is_not_asked_for_ever() -> None:
    """Each time its file would have to be loaded anew, twice."""
    source = body("import os\nif turns[-1] == 'bad':\n    os._exit(0)\nreturn 'x'")
    answers = ToolKit(source).answers(*[["bad"]] * 3, ["good"], *[["bad"]] * 40, ["good"])
    assert answers[3].text == "x"
    assert answers[-1].text is None
    assert all("ends its process" in (one.fault or "") for one in answers[4:])


def test_faults_of_python_cost_no_new_process() -> None:
    """Loading the file takes a second, and there are 300 calls: within the test's time it is loaded once."""
    source = "import time\nbegan = time.process_time()\nwhile time.process_time() - began < 1: pass\n"
    answers = ToolKit(source + body("return turns[7]"), import_seconds=10).answers(*[[str(n)] for n in range(300)])
    assert {one.fault for one in answers} == {"IndexError: list index out of range"}


@pytest.mark.parametrize("text", [text for text in REFUSED.values() if "\n" not in text])
def test_what_a_reward_may_not_do_a_tool_may_not_either(text: str) -> None:
    (answered,) = ToolKit(body(f"{text}\nreturn 'got out'"), memory_bytes=2**28).answers(["a"])
    assert answered.text is None
    assert answered.fault is not None or answered.over


def test_one_that_takes_too_long_answers_nothing_and_that_is_in_doubt() -> None:
    source = body("while turns[-1] == 'bad':\n    pass\nreturn 'x'")
    bad, good = ToolKit(source, seconds=0.2).answers(["bad"], ["good"])
    assert (bad.text, bad.over, bad.doubtful, bad.fault) == (None, True, True, None)
    assert good == Answered("x", doubtful=good.doubtful)


def test_a_file_that_cannot_be_loaded_is_the_jobs_fault() -> None:
    for source in ("def answer(:\n", "answer = 1\n", "raise KeyError('x')\n", "while True: pass\n"):
        with pytest.raises(UsageError, match="the tool 'mine'"):
            ToolKit(source, import_seconds=0.5).tool().check()


def test_a_registered_name_and_settings_are_refused() -> None:
    turns = ToolKit(body("return None")).turns
    for changes, words in (({"tool": "calculator"}, "registered"), ({"config": {"x": 1}}, "takes no settings")):
        with pytest.raises(UsageError, match=words):
            check_turns(turns.model_copy(update=changes))


def python(*programs: str, pool: SandboxPool = SANDBOX, **config: Any) -> list[Answered]:
    """What the tool `python` answers to turns with these programs."""
    tool = PythonTool(pool, "job", Turns(tool="python", config=config, reply="{reply}"))
    calls = [ToolCall("question", (f"Let me see. <python>{program}</python>",), {}) for program in programs]
    return tool.replies([calls])[0]


def test_a_program_is_run_and_what_it_prints_is_answered() -> None:
    one, two, three = python("print(2**100)", "for n in range(3):\n    print(n)", "import math\nprint(math.comb(9, 4))")
    assert (one.text, two.text, three.text) == (str(2**100), "0\n1\n2", "126")


def test_an_error_is_named_behind_what_was_printed() -> None:
    (answered,) = python("print('so far')\nprint(1 / 0)")
    assert answered.text == "so far\nerror: ZeroDivisionError"


def test_a_turn_without_a_program_is_the_last() -> None:
    tool = PythonTool(SANDBOX, "job", Turns(tool="python", reply="{reply}"))
    said = [ToolCall("?", (text,), {}) for text in ("no program", "<python>1", "1</python>", "</python><python>")]
    assert [one.text for one in tool.replies([said])[0]] == [None] * 4


def test_output_is_cut() -> None:
    (answered,) = python("print('x' * 100)", characters=10)
    assert answered.text == "x" * 10 + "…"


CHANCE = [
    "import random\nprint(random.random())",
    "import time\nprint(time.time())",
    "import datetime\nprint(datetime.date.today())",
    "print(hash('x'))",
    "print({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})",
    "import os\nprint(os.urandom(8))",
    "import uuid\nprint(uuid.uuid4())",
]


@pytest.mark.parametrize("program", CHANCE)
def test_what_depends_on_chance_or_time_is_no_answer_and_so_the_same_everywhere(program: str) -> None:
    (answered,) = python(program)
    assert answered.text == DIFFERS


@pytest.mark.parametrize("text", [text for text in REFUSED.values() if "\n" not in text])
def test_a_program_gets_nowhere(text: str) -> None:
    (answered,) = python(f"{text}\nprint('got out')", memory_bytes=2**28)
    assert "got out" not in (answered.text or "")


def test_a_program_that_does_not_end_is_ended_and_the_next_one_runs() -> None:
    pool = SandboxPool(processes=1, limits=Limits(own_seconds=1.0))
    try:
        bad, good = python("while True: pass", "print(1)", pool=pool, seconds=0.2)
    finally:
        pool.close()
    assert (bad.text, bad.over, bad.late) == (TOO_LONG, True, TOO_LONG)
    assert good.text == "1"

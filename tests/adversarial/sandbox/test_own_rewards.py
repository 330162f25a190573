"""A stranger's own reward function, and what the worst of them would do with it. Each can only hurt its own job."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest

from r1net.errors import UsageError
from r1net.sandbox import Limits, SandboxFailed, SandboxPool
from r1net.sandbox.function import Surroundings
from r1net.sandbox.own import Call
from r1net.sandbox.wheels import MOST_BYTES
from tests.adversarial.sandbox.rewards import Kit, values, wheel

RIGHT = "def reward(prompts, completions, answer, **rest):\n    return [float(completions[0] == answer[0])]\n"


def body(text: str) -> str:
    """A reward whose body this is, for one completion `text`."""
    lines = "\n".join(f"    {line}" for line in text.splitlines())
    return f"calls = []\ndef reward(prompts, completions, **columns):\n    text = completions[0]\n{lines}\n"


def test_a_function_is_called_as_trl_calls_it() -> None:
    source = (
        "def reward(prompts, completions, answer, metadata, **rest):\n"
        "    assert prompts == ['question'] and rest == {} and len(completions) == 1\n"
        "    return [metadata[0]['weight'] * (completions[0] == answer[0])]\n"
    )
    marks = Kit(source).grade("1", "2", answer="1", metadata={"weight": 0.1})
    assert values(marks) == [0.1, 0.0]


def test_none_means_that_it_does_not_apply_and_whole_numbers_are_numbers() -> None:
    assert values(Kit(body("return [{'a': None, 'b': 2, 'c': -0.5}[text]]")).grade("a", "b", "c")) == [None, 2.0, -0.5]


FAULTS = {
    "True": "list of bool",
    "float('nan')": "no number",
    "float('inf')": "no number",
    "10**400": "no number",
    "1e10": "beyond",
    "'1'": "list of str",
    "[1.0]": "list of list",
    "type('Sly', (float,), {})(1)": "list of Sly",
    "type('Sly', (int,), {})(1)": "list of Sly",
    "1, 2": "2 values",
    "": "0 values",
}


@pytest.mark.parametrize(("value", "words"), FAULTS.items())
def test_what_is_no_mark_is_the_functions_fault(value: str, words: str) -> None:
    (mark,) = Kit(body(f"return [{value}]")).grade("a")
    assert mark.value is None
    assert words in (mark.fault or "")


@pytest.mark.parametrize(
    "value", ["1.0", "(1.0,)", "None", "iter([1.0])", "{0: 1.0}", "type('Sly', (list,), {})([1.0])"]
)
def test_what_is_no_list_is_the_functions_fault(value: str) -> None:
    (mark,) = Kit(body(f"return {value}")).grade("a")
    assert "not a list" in (mark.fault or "")


REFUSED = {
    "fork": "import os; os.fork()",
    "program": "import subprocess; subprocess.run(['/bin/true'])",
    "thread": "import threading; threading.Thread(target=print).start()",
    "socket": "import socket; socket.socket()",
    "unix socket": "import socket; socket.socketpair()",
    "passwd": "open('/etc/passwd').read()",
    "environ": "open('/proc/self/environ').read()",
    "parent": "open('/proc/1/maps').read()",
    "home": "import os; os.listdir('/root')",
    "write": "open('/tmp/x', 'w')",
    "limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "kill": "import os; os.kill(os.getppid(), 9)",
    "r1net": "import r1net",
    "sandbox": "import r1net.sandbox",
    "numpy": "import numpy",
    "landlock": "import landlock",
    "memory": "held = bytearray(2**31)",
    "recursion": "f = lambda: f()\nf()",
    "exit": "raise SystemExit(0)",
    "sly exit": "import sys; sys.exit()",
    "interrupt": "raise KeyboardInterrupt",
    "error": "class Sly(Exception):\n    def __str__(self): raise Sly\nraise Sly",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_out_fails_and_is_the_functions_fault(name: str) -> None:
    (mark,) = Kit(body(REFUSED[name] + "\nreturn [1.0]")).grade("a")
    assert mark.value is None
    assert mark.fault


def test_nothing_of_the_host_is_seen() -> None:
    source = body(
        "import os, sys\n"
        "seen = [name for name in sys.modules if name.split('.')[0] in ('r1net', 'landlock', 'pydantic', 'numpy')]\n"
        "seen += [path for path in sys.path if 'site-packages' in path]\n"
        "seen += [name for name in os.environ if name not in ALLOWED]\n"
        "for folder in ('/', '/proc', '/root', '/home', '/etc', '/usr', '/tmp'):\n"
        "    try: seen += os.listdir(folder)\n"
        "    except OSError: pass\n"
        "raise ValueError(seen)"
    )
    from r1net.sandbox.boundary import ENVIRONMENT

    allowed = {*ENVIRONMENT, "PWD", "LC_CTYPE"}
    (mark,) = Kit(f"ALLOWED = {allowed!r}\n{source}").grade("a")
    assert mark.fault == "ValueError: []"


def test_a_completion_that_takes_too_long_is_worth_what_the_job_says_and_the_next_what_it_is() -> None:
    kit = Kit(body("while text == 'b': pass\nreturn [1]"), seconds=0.2, on_timeout=-0.25)
    marks = kit.grade("a", "b", "c")
    assert values(marks) == [1.0, -0.25, 1.0]
    assert [mark.over for mark in marks] == [False, True, False]


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.sleep(1000)",
        "import signal; signal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass",
        "import threading; threading.Lock().acquire(); lock = threading.Lock(); lock.acquire(); lock.acquire()",
    ],
)
def test_what_waits_or_stops_its_clock_is_the_functions_fault(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1net.sandbox.process.WALL_FACTOR", 1.0)
    monkeypatch.setattr("r1net.sandbox.process.WALL_SLACK", 1.0)
    (mark,) = Kit(body(source + "\nreturn [1.0]"), seconds=0.2).grade("a")
    assert "waits" in (mark.fault or "")


@pytest.mark.parametrize("source", ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)"])
def test_what_ends_its_process_is_the_functions_fault(source: str) -> None:
    (one, two) = Kit(body(source + "\nreturn [1.0]")).grade("a", "b")
    assert "ends its process" in (one.fault or "")
    assert two.fault == one.fault


BAD_FILES = {
    "1 / 0": "ZeroDivisionError",
    "def reward(": "SyntaxError",
    "rewards = 1": "AttributeError",
    "reward = 1": "TypeError",
    "\0": "null",
    "import os; os._exit(3)": "ends its process",
    "while True: pass": "CPU time",
    "raise SystemExit": "SystemExit",
    "held = bytearray(2**33)": "memory",
}


@pytest.mark.parametrize(("source", "words"), BAD_FILES.items())
def test_a_file_that_cannot_be_loaded_is_the_jobs_fault(source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Kit(source + "\n", import_seconds=0.5).reward().check()


def test_groups_do_not_know_of_each_other() -> None:
    kit = Kit(body("calls.append(text)\nreturn [len(calls)]"))
    calls = [Call("question", text, {}) for text in "abc"]
    found = kit.reward().grade([calls, calls[:1], calls[:2]])
    assert [values(marks) for marks in found] == [[1, 2, 3], [1], [1, 2]]


def test_a_hash_seed_is_the_same_on_every_machine_and_another_where_it_is_tried() -> None:
    kit = Kit(body("return [hash(text) % 1000003]"))
    call = [[Call("question", "abc", {})]]
    one, two = kit.reward().grade(call), kit.reward(around=Surroundings(hash_seed=1)).grade(call)
    assert one == kit.reward().grade(call)
    assert one != two


@pytest.mark.parametrize(
    "clock",
    ["time.time()", "time.monotonic()", "datetime.datetime.now().timestamp()", "datetime.date.today().toordinal()"],
)
def test_a_shifted_clock_is_seen(clock: str) -> None:
    kit = Kit(body(f"import time, datetime\nreturn [float({clock}) % 1e9]"))
    call = [[Call("question", "abc", {})]]
    ((one,),) = kit.reward().grade(call)
    ((two,),) = kit.reward(around=Surroundings(shift=86400.0 * 40)).grade(call)
    assert one.value is not None
    assert two.value is not None
    assert two.value - one.value > 30


FORGER = """
import gc, json, os, socket, stat, struct, sys
def reward(prompts, completions, **rest):
    if completions[0] == "forge":
        found = [one for one in gc.get_objects() if isinstance(one, socket.socket)]
        numbers = [n for n in range(64) if _is_socket(n)]
        frame = sys._getframe()
        while frame is not None:
            asked = frame.f_locals.get("asked")
            if isinstance(asked, dict):
                break
            frame = frame.f_back
        for value in FORGED:
            data = json.dumps({"value": value, "seconds": 0.0} | (asked or {})).encode()
            os.write(numbers[0], struct.pack(">QB", len(data), 0) + data)
    return [0.0]

def _is_socket(number):
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False
"""


def test_a_forger_of_answers_only_gives_its_own_job_other_marks() -> None:
    """It finds the channel and writes the next completion's answer itself; another job's marks, and its own next
    group's, are what they are."""
    kit, other = Kit("FORGED = [7.0, 8.0]\n" + FORGER), Kit(RIGHT)
    assert values(kit.grade("forge", "b", "c")) == [7.0, 8.0, 0.0]
    assert values(kit.grade("a", "b")) == [0.0, 0.0]
    assert values(other.grade("1", "2", answer="1")) == [1.0, 0.0]


@pytest.mark.parametrize("value", ["float('nan')", "1e300", "'1'", "True", "[1]", "'x' * 10000"])
def test_a_forged_answer_that_is_no_mark_is_the_functions_fault(value: str) -> None:
    (mark,) = Kit(f"FORGED = [{value}]\n{FORGER}").grade("forge")
    assert mark.value is None
    assert mark.fault


@pytest.mark.parametrize(
    "data", ["b'garbage' * 1000", "struct.pack('>QB', 1 << 60, 0)", "struct.pack('>QB', 100000, 0) + b'[' * 100000"]
)
def test_garbage_on_the_channel_is_the_functions_fault(data: str) -> None:
    source = FORGER.replace("for value in FORGED:", "for value in ():").replace(
        "    return [0.0]\n", f"    os.write(numbers[0], {data})\n    return [0.0]\n"
    )
    (mark,) = Kit(source).grade("forge")
    assert mark.fault


def test_prints_go_nowhere() -> None:
    source = body("import os, sys\nprint('x' * 100000)\nsys.stderr.write('y')\nos.write(2, b'z')\nreturn [1]")
    assert values(Kit(source).grade("a")) == [1.0]


def test_wheels_are_imported_from_and_their_bytecode_is_written() -> None:
    kept = wheel("tool", {"tool/__init__.py": "from tool.part import WORTH", "tool/part.py": "WORTH = 0.5"})
    kit = Kit("import tool\ndef reward(**columns):\n    return [tool.WORTH]\n", {"tool-1.0-py3-none-any.whl": kept})
    pool = SandboxPool(2)
    try:
        assert values(kit.grade("a", pool=pool)) == [0.5]
        (code,) = pool.codes._known.values()
        folder = code.folder
        assert len(list(folder.rglob("*.pyc"))) == 2
        assert values(kit.grade("a", pool=pool)) == [0.5]
    finally:
        pool.close()
    assert not folder.exists()
    with pytest.raises(SandboxFailed, match="closed"):
        kit.grade("a", pool=pool)


def test_code_for_another_python_is_refused() -> None:
    kit = Kit(RIGHT)
    kit.code = kit.code.model_copy(update={"python": "3.9"})
    with pytest.raises(UsageError, match=r"3\.9"):
        kit.reward().check()


@pytest.mark.parametrize("name", ["tool-1.0-cp39-cp39-manylinux_2_17_x86_64.whl", "tool-1.0-cp311-cp311-win_amd64.whl"])
def test_a_wheel_for_another_machine_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        Kit(RIGHT, {name: wheel("tool", {})}).reward().check()


def raw(change: Callable[[zipfile.ZipFile], None]) -> bytes:
    kept = BytesIO(wheel("tool", {"tool.py": ""}))
    with zipfile.ZipFile(kept, "a", zipfile.ZIP_DEFLATED) as archive:
        change(archive)
    return kept.getvalue()


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def bomb(claimed: int | None = None) -> bytes:
    """Ten gigabytes in ten megabytes, or what claims to have `claimed` bytes."""

    def fill(archive: zipfile.ZipFile) -> None:
        with archive.open("bomb.py", "w") as file:
            for _ in range(640 if claimed is None else 16):
                file.write(bytes(2**20))

    data = raw(fill)
    if claimed is not None:
        real, lie = (16 * 2**20).to_bytes(4, "little"), claimed.to_bytes(4, "little")
        assert real in data
        data = data.replace(real, lie)
    return data


HOSTILE_WHEELS: dict[str, Callable[[], bytes]] = {
    "up": lambda: raw(lambda archive: archive.writestr("../evil.py", "x")),
    "up within": lambda: raw(lambda archive: archive.writestr("tool/../../evil.py", "x")),
    "absolute": lambda: raw(lambda archive: archive.writestr("/tmp/evil.py", "x")),
    "backslash": lambda: raw(lambda archive: archive.writestr("..\\evil.py", "x")),
    "up by data": lambda: raw(lambda archive: archive.writestr("tool-1.0.data/purelib/../../evil.py", "x")),
    "link": lambda: raw(lambda archive: archive.writestr(member("evil", 0o120777), "/etc/passwd")),
    "device": lambda: raw(lambda archive: archive.writestr(member("evil", 0o020666), "")),
    "twice": lambda: raw(lambda archive: archive.writestr("tool-1.0.data/purelib/tool.py", "x")),
    "file and folder": lambda: raw(lambda archive: archive.writestr("tool.py/evil.py", "x")),
    "long name": lambda: raw(lambda archive: archive.writestr("x" * 300, "x")),
    "control": lambda: raw(lambda archive: archive.writestr("x\ny.py", "x")),
    "other method": lambda: raw(lambda archive: archive.writestr("x.py", "x" * 1000, zipfile.ZIP_LZMA)),
    "members": lambda: raw(lambda archive: [archive.writestr(f"{n}", "") for n in range(20_001)] and None),
    "no wheel": lambda: raw(lambda archive: archive.writestr("b-1.dist-info/WHEEL", "")),
    "no zip": lambda: b"PK\x05\x06" * 5,
    "nothing": lambda: b"x",
    "cut": lambda: raw(lambda archive: None)[:-30],
    "bomb": bomb,
    "lying bomb": lambda: bomb(claimed=10),
}


@pytest.mark.parametrize("name", HOSTILE_WHEELS)
def test_a_hostile_wheel_is_refused_and_nothing_of_it_stays(name: str) -> None:
    data = HOSTILE_WHEELS[name]()
    pool = SandboxPool(2)
    try:
        with pytest.raises(UsageError):
            Kit(RIGHT, {"tool-1.0-py3-none-any.whl": data}).reward(pool).check()
        assert all(code.zygote is None for code in pool.codes._known.values())
    finally:
        pool.close()


def test_all_wheels_share_one_budget() -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        with archive.open("large.bin", "w") as file:
            for _ in range(MOST_BYTES // 2**20 * 2 // 3):
                file.write(bytes(2**20))

    half = raw(fill)
    wheels = {f"tool{n}-1.0-py3-none-any.whl": half for n in range(2)}
    with pytest.raises(UsageError, match="bytes when unpacked"):
        Kit(RIGHT, wheels).reward().check()


def test_many_codes_at_once_are_unpacked_once_each_and_thrown_away_when_others_come() -> None:
    pool = SandboxPool(2, Limits())
    try:
        for number in range(12):
            kit = Kit(RIGHT + f"# {number}\n")
            assert values(kit.grade("1", answer="1", pool=pool)) == [1.0]
        assert len(pool.codes._known) == 8
        assert all(code.zygote is not None and code.folder.exists() for code in pool.codes._known.values())
    finally:
        pool.close()


def test_a_zygote_that_is_gone_is_started_anew() -> None:
    kit, pool = Kit(RIGHT), SandboxPool(2)
    try:
        before = kit.grade("1", answer="1", pool=pool)
        (code,) = pool.codes._known.values()
        assert code.zygote is not None
        code.zygote._control.close()
        with pytest.raises(SandboxFailed):
            kit.grade("1", answer="1", pool=pool)
        assert kit.grade("1", answer="1", pool=pool) == before
    finally:
        pool.close()


@pytest.mark.parametrize(
    "code", ["import r1net", "import numpy", "open('/etc/passwd')", "import os; os.listdir('/root')"]
)
def test_landlock_alone_hides_the_same(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers, where bubblewrap has no namespaces to make."""
    monkeypatch.setattr("r1net.sandbox.process.bubblewrapped", lambda inside: None)
    pool = SandboxPool(2)
    try:
        assert values(Kit(RIGHT).grade("1", answer="1", pool=pool)) == [1.0]
        (known,) = pool.codes._known.values()
        assert known.zygote is not None
        assert known.zygote.layers == ("landlock", "seccomp")
        (mark,) = Kit(body(f"{code}\nreturn [1.0]")).grade("a", pool=pool)
        assert mark.fault
        reaching = f"import sys\nsys.path += {sys.path!r}\nimport numpy\nreturn [1.0]"
        (mark,) = Kit(body(reaching)).grade("a", pool=pool)
        assert mark.fault
    finally:
        pool.close()


@pytest.mark.parametrize("package", ["numpy", "r1net", "landlock", "pydantic"])
def test_a_path_that_is_known_leads_nowhere(package: str) -> None:
    (mark,) = Kit(body(f"import sys\nsys.path += {sys.path!r}\nimport {package}\nreturn [1.0]")).grade("a")
    assert mark.fault

"""Finding 1 of the threat model: a grader that a completion has taken over. Every way out that one would try."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import r1net
from r1net.sandbox.process import Ended
from tests.adversarial.sandbox.prison import Outcome, Prison, open_prison

SECRET = "R1_TEST_SECRET"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            True, id="bubblewrap", marks=pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap")
        ),
        pytest.param(False, id="landlock"),
    ],
)
def prison(request: pytest.FixtureRequest) -> Iterator[Prison]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SECRET, "hunter2")
        made = open_prison(patch, request.param)
    try:
        assert ("bubblewrap" in made.zygote.layers) == request.param
        assert {"landlock", "seccomp"} <= set(made.zygote.layers)
        yield made
    finally:
        made.zygote.close()


def call(name: str, *arguments: object) -> str:
    """Code that makes one system call, by libc's name, and raises OSError when it fails."""
    given = ", ".join(map(str, arguments))
    return (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"value = libc.{name}({given})\n"
        "if value == -1: raise OSError(ctypes.get_errno(), 'refused')\n"
    )


def test_code_that_only_computes_runs(prison: Prison) -> None:
    assert prison.run("value = sum(range(10))").answer == {"value": "45"}


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socketpair()",
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1/')",
        "channel.connect('/run/x')",
    ],
)
def test_no_network(prison: Prison, code: str) -> None:
    found = prison.run(code)
    assert found.refused or found.answer.get("error") in ("URLError", "gaierror"), found


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.fork()",
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['/bin/true'])",
        "import os; os.system('true') and os.kill(0, 0)",
        "import os; os.execv('/bin/sh', ['sh'])",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import threading; threading.Thread(target=print).start()",
        call("vfork"),
    ],
)
def test_no_process_and_no_thread(prison: Prison, code: str) -> None:
    found = prison.run(code)
    assert found.refused or found.signal is not None, found


@pytest.mark.parametrize(
    "code",
    [
        "value = len(bytearray(2 << 30))",
        "value = 'x' * (2 << 30)",
        "import mmap\nheld = []\nwhile True: held.append(mmap.mmap(-1, 1 << 26))",
    ],
)
def test_memory_is_bounded(prison: Prison, code: str) -> None:
    answer = prison.run(code).answer
    assert answer.get("error") == "MemoryError" or answer.get("errno") == errno.ENOMEM, answer


def writings(folder: Path) -> list[str]:
    package = Path(r1net.__file__).parent
    return [
        *(
            f"open({str(place / 'new')!r}, 'w')"
            for place in (folder, package, Path("/tmp"), Path("/"), Path("/dev/shm"))
        ),
        f"open({str(package / 'rewards.py')!r}, 'a')",
        f"import os; os.open({str(package / 'rewards.py')!r}, os.O_RDWR)",
        f"import os; os.remove({str(package / 'rewards.py')!r})",
        f"import os; os.rename({str(package / 'rewards.py')!r}, '/tmp/x')",
        f"import os; os.truncate({str(package / 'rewards.py')!r}, 0)",
        f"import os; os.chmod({str(package / 'rewards.py')!r}, 0o777)",
        f"import os; os.symlink('/etc', {str(folder / 'link')!r})",
        "import os; os.mkdir('/tmp/folder')",
        "import os; os.memfd_create('x')",
        "import os; os.mkfifo('/tmp/fifo')",
    ]


def test_nothing_is_written(prison: Prison, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for code in writings(tmp_path):
        found = prison.run(code)
        assert found.refused or found.answer.get("error") in ("FileNotFoundError", "OSError"), (code, found)
    assert not list(tmp_path.iterdir())


def test_no_file_of_the_host_is_read(prison: Prison, tmp_path: Path) -> None:
    key = tmp_path / "wallet.json"
    key.write_text("a key")
    project = Path(r1net.__file__).parents[2]
    files = [key, Path("/etc/passwd"), Path("/etc/hostname"), project / "README.md", Path.home() / ".bashrc"]
    files += [Path(f"/proc/{pid}/environ") for pid in ("self", os.getpid(), os.getppid(), 1)]
    files += [Path("/proc/self/maps"), Path("/dev/sda"), Path("/sys/kernel")]
    for file in files:
        found = prison.run(f"value = open({str(file)!r}, 'rb').read()")
        assert found.refused or found.answer.get("error") == "FileNotFoundError", (file, found)
    for folder in (tmp_path, project, Path("/proc"), Path.home()):
        listed = prison.run(f"import os; value = os.listdir({str(folder)!r})")
        names = {child.name for child in folder.iterdir()} - {"sdk", ".venv", "work", "usr", "lib", "lib64", ".pyenv"}
        assert listed.refused or not names & set(names_of(listed)), (folder, listed)


def names_of(found: Outcome) -> list[str]:
    value = found.answer.get("value")
    return [] if value is None else ast.literal_eval(value)


def test_nothing_of_the_environment_is_there(prison: Prison) -> None:
    found = prison.run("import os; value = sorted(os.environ)").answer["value"]
    assert SECRET not in found
    assert not [name for name in os.environ if f"'{name}'" in found and name not in ALLOWED], found


ALLOWED = {
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM", "RAYON_NUM_THREADS"),
    *("PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "LC_ALL", "HOME", "PYTHONPATH", "PWD", "LC_CTYPE"),
}


@pytest.mark.parametrize(
    "target", ["os.getppid()", "1", "-1", "0", str(os.getpid())], ids=["parent", "init", "all", "group", "tests"]
)
def test_no_signal_to_anybody(prison: Prison, target: str) -> None:
    for code in (
        f"import os; os.kill({target}, 9)",
        f"import os; os.killpg({target} if {target} > 0 else 1, 9)",
        call("ptrace", 16, target.replace("os.getppid()", "os.getppid()"), 0, 0),
        call("process_vm_readv", target, 0, 0, 0, 0, 0),
        call("syscall", 434, target, 0),
        call("syscall", 424, 0, 9, 0, 0),
    ):
        found = prison.run(code)
        assert found.refused, (code, found)
    assert prison.run("value = 1").answer == {"value": "1"}


@pytest.mark.parametrize(
    "code",
    [
        call("unshare", 0x10000000),
        call("mount", 0, 0, 0, 0, 0),
        call("chroot", "b'/'"),
        call("setuid", 0),
        call("prctl", 38, 0, 0, 0, 0),
        call("syscall", 321, 0, 0, 0),  # bpf
        call("syscall", 425, 1, 0),  # io_uring_setup
        call("syscall", 250, 0, 0),  # keyctl
        call("syscall", 304, 0, 0, 0),  # open_by_handle_at
        call("syscall", 323, 0),  # userfaultfd
        call("syscall", 447, 0),  # memfd_secret
        call("shmget", 0, 4096, 0o1600),
        call("personality", 0x0040000),
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ],
)
def test_no_way_around_the_filter(prison: Prison, code: str) -> None:
    found = prison.run(code)
    assert found.refused or found.answer.get("error") == "ValueError", found


def test_calls_of_another_architecture_end_the_process(prison: Prison) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("x32 is an ABI of x86-64")
    found = prison.run(call("syscall", 0x40000000 | 41, 2, 1, 0))
    assert found.refused or found.signal == signal.SIGSYS


@pytest.mark.parametrize(
    "code", ["while True: pass", "9 ** 9 ** 9", "import re; re.match('(a+)+$', 'a' * 64 + 'b')", "sum(iter(int, 1))"]
)
def test_what_never_returns_is_ended_by_its_own_clock(prison: Prison, code: str) -> None:
    assert prison.run(code).signal == signal.SIGPROF


def test_a_process_that_stops_its_clock_is_ended_from_outside(prison: Prison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1net.sandbox.process.WALL_FACTOR", 1.0)
    monkeypatch.setattr("r1net.sandbox.process.WALL_SLACK", 0.5)
    sleeping = "import time; time.sleep(1000)"
    spinning = "import signal; signal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass"
    ignoring = "import signal; signal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True: pass"
    for code in (sleeping, spinning, ignoring):
        assert prison.run(code).signal == signal.SIGKILL


@pytest.mark.parametrize(
    "code",
    [
        "while True: channel.sendall(b'x' * 65536)",
        "import struct\nchannel.sendall(struct.pack('>QB', 1 << 62, 0))\nwhile True: channel.sendall(b'x' * 65536)",
        "while True: channel.sendall(b'[' * 65536)",
        "import struct\nchannel.sendall(struct.pack('>QB', 200000, 0) + b'[' * 200000)\nwhile True: pass",
    ],
)
def test_endless_and_unreadable_output_ends_the_process(prison: Prison, code: str) -> None:
    child = prison.child()
    with pytest.raises(Ended):
        child.ask({"code": code})
    child.end()


def test_output_that_nobody_reads_goes_nowhere(prison: Prison) -> None:
    code = (
        "import sys, os\nfor _ in range(1000): print('x' * 1000); sys.stderr.write('y'); os.write(2, b'z')\nvalue = 1"
    )
    assert prison.run(code).answer == {"value": "1"}


def test_an_answer_before_its_question_counts_for_nothing(prison: Prison) -> None:
    """What one completion leaves on the channel is not the next one's reward."""
    child = prison.child()
    forged = (
        "send(channel, {'value': \"'mine'\", 'asked': asked}); send(channel, {'value': \"'forged'\", 'asked': asked})"
    )
    assert child.ask({"code": forged}) == {"value": "'mine'"}
    with pytest.raises(Ended):
        child.ask({"code": "value = 'right'"})
    child.end()


def test_a_prisoner_can_break_only_itself(prison: Prison) -> None:
    one, other = prison.child(), prison.child()
    with pytest.raises(Ended):
        one.ask({"code": "import os; os._exit(3)"})
    assert one.end() == 0
    assert other.ask({"code": "value = 2"}) == {"value": "2"}
    other.end()


def test_a_prisoner_has_no_hold_of_the_zygotes_own_channel(prison: Prison) -> None:
    """Its answers would be believed about everybody's processes, and on it come other jobs' channels."""
    child = prison.child()
    found = child.ask(
        {
            "code": "import os, stat\nvalue = []\nfor number in range(64):\n"
            "    try: value += [number] * stat.S_ISSOCK(os.fstat(number).st_mode)\n"
            "    except OSError: pass\n"
            "value = [number for number in value if number != channel.fileno()]"
        }
    )
    assert found == {"value": "[]"}
    child.end()

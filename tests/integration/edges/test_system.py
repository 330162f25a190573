"""What the operating system refuses is a sentence, a next step and an exit code, as JSON where a program reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from r1net.chain import create_keystore
from tests.integration.edges.machine import FULL, HIDING, READ_ONLY, mounted, powerless, python, run

NODE, NET, COORDINATOR = "r1node.cli.main", "r1net.cli.main", "r1coordinator.cli"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    return file


def init(data: Path, password: Path) -> list[str]:
    return python(NODE, "init", "--json", "--data-dir", data, "--password-file", password)


def test_a_full_disk_keeps_no_half_of_a_key(tmp_path: Path, password: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    left = f'{FULL}; cp "$1/filling" /dev/null; trap \'find "$1" -type f\' EXIT'
    command = mounted(data, left, ["sh", "-c", 'exec "$@"', "sh", *init(data, password)])
    ended = run(command, tmp_path)
    assert ended.code == 3
    assert ended.told["code"] == "system"
    assert ended.told["message"] == f"no room is left on the disk for {data}/wallet.json"
    assert "free some room" in ended.told["hint"]


def test_what_a_full_disk_broke_off_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    code = (
        "import sys, pathlib\n"
        "from r1node.blobs import BlobCache\n"
        "from r1net.local_files import LocalFiles\n"
        "from r1node.journal import _append\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "(root / 'filling').write_bytes(b'x' * 100_000)\n"
        "cache, files = BlobCache(root / 'blobs'), LocalFiles(root / 'files')\n"
        "for act in (lambda: cache.add(b'y' * 500_000), lambda: files.add(b'z' * 500_000),\n"
        "            lambda: _append(root / 'metrics.jsonl', b'w' * 500_000)):\n"
        "    try: act()\n"
        "    except OSError as error: print(error.errno)\n"
        "print(sorted((p.name, p.stat().st_size) for p in root.rglob('*') if p.is_file() and p.name != '.lock'))\n"
    )
    how = 'mount -t tmpfs -o size=256k tmpfs "$1"'
    ended = run(mounted(data, how, [sys.executable, "-c", code, str(data)]), tmp_path)
    assert ended.out.splitlines() == ["28", "28", "28", "[('filling', 100000), ('metrics.jsonl', 0)]"], ended.words


def test_a_home_that_cannot_be_written_to_stands_in_nobodys_way(tmp_path: Path, password: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    home.chmod(0o555)
    assert run(powerless(init(data, password)), home).code == 0
    code = "from r1node.kernels.build import library\nfrom r1net.errors import R1Error\n"
    code += "try: library('fp32')\nexcept R1Error as error: print(error.code, '|', error)"
    ended = run(powerless([sys.executable, "-c", code]), home)
    assert ended.out.startswith("preflight | the kernels can't be kept: user 0 has no right to use"), ended
    assert "XDG_CACHE_HOME" in ended.out


@pytest.mark.parametrize("command", ["wallet", "init", "join", "config"])
def test_a_folder_one_may_not_enter(tmp_path: Path, password: Path, command: str) -> None:
    data = tmp_path / "closed"
    data.mkdir()
    data.chmod(0)
    arguments = (command, "show") if command == "config" else (command,)
    options = ("--data-dir", data / "below", "--password-file", password, "--json")
    ended = run(powerless(python(NODE, *arguments, *options)), tmp_path)
    if command == "config":  # which needs nothing of that folder
        assert ended.code == 0
        return
    assert ended.code == 3
    assert "has no right to use" in ended.told["message"]
    assert str(data) in ended.told["message"]
    data.chmod(0o700)


def test_the_doctor_tells_of_what_it_may_not_read_and_goes_on(tmp_path: Path, password: Path) -> None:
    data = tmp_path / "closed"
    data.mkdir()
    data.chmod(0)
    code = (
        "from r1node.doctor.checks import QUICK, _run\nfrom r1node.settings import resolve\nimport sys\n"
        "settings = resolve({'data_dir': sys.argv[1], 'coordinator': 'http://127.0.0.1:9'}).settings\n"
        "for one in _run(settings, QUICK[:2]): print(one.check, one.verdict, one.detail, one.fix)"
    )
    ended = run(powerless([sys.executable, "-c", code, str(data / "below")]), tmp_path)
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["disk", "failure"], ["keys", "failure"]], ended
    assert "has no right to use" in ended.out
    data.chmod(0o700)


def test_a_data_folder_that_can_only_be_read(tmp_path: Path, password: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    ended = run(mounted(data, READ_ONLY, init(data, password)), tmp_path)
    assert ended.code == 3
    assert "is on a file system that can only be read" in ended.told["message"]


def test_a_part_of_the_path_is_a_file(tmp_path: Path, password: Path) -> None:
    ended = run(init(password / "data", password), tmp_path)
    assert ended.code == 3
    assert "is a file, not a folder" in ended.told["message"]


@pytest.mark.parametrize(
    ("program", "arguments", "hidden", "extra"),
    [
        (NODE, ("doctor",), "torch", "r1net[node]"),
        (NODE, ("verify", "0x0"), "psutil", None),
        (COORDINATOR, ("migrate",), "alembic", "r1net[coordinator]"),
        (NET, ("jobs",), "httpx", "r1net"),
    ],
)
def test_a_missing_package_names_what_to_install(
    tmp_path: Path, program: str, arguments: tuple[str, ...], hidden: str, extra: str | None
) -> None:
    ended = run(python(program, *arguments, "--json", before=HIDING.format(hidden={hidden})), tmp_path)
    if extra is None:  # a command that doesn't need it
        assert ended.told["code"] == "unreachable"
        return
    assert ended.code == 3
    assert ended.told["message"] == f"the Python package of {hidden!r} is not installed"
    assert ended.told["hint"] == f"run: pip install '{extra}'"


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        python(NODE, "config", "show"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, words = process.communicate()
    assert process.returncode == 1
    assert words == b""


def test_output_to_a_full_disk_is_an_error(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            python(NODE, "config", "show", "--json"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert "no room is left on the disk for standard output" in done.stderr
    assert "Exception" not in done.stderr


def test_a_bug_stays_one_and_keeps_its_traceback(tmp_path: Path) -> None:
    before = (
        "import r1node.cli.context as context\n"
        "def broken(flags): raise KeyError('https://rpc.example/S3CRET')\n"
        "context.resolve = broken"
    )
    ended = run(python(NODE, "status", "--json", before=before), tmp_path, TMPDIR=str(tmp_path))
    assert ended.code == 70
    assert ended.told["code"] == "internal"
    (kept,) = tmp_path.glob("r1net-bug-*.txt")
    assert str(kept) in ended.told["hint"]
    assert "KeyError" in ended.told["message"]
    assert "in broken" in kept.read_text()
    assert "S3CRET" not in kept.read_text() + ended.words
    assert kept.stat().st_mode & 0o077 == 0


def test_wrong_usage_is_json_too(tmp_path: Path) -> None:
    for arguments in (("join", "--stake", "much"), ("jion",), ()):
        ended = run(python(NODE, *arguments, "--json"), tmp_path)
        assert (ended.code, ended.told["code"]) == (2, "usage")


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "r1.db").write_bytes(b"not a database at all, but words" * 100)
    ended = run(python(COORDINATOR, "migrate", "--json", "--database", f"sqlite:///{tmp_path}/r1.db"), tmp_path)
    assert ended.code == 3
    assert "file is not a database" in ended.told["message"]


def test_a_disk_that_is_full_for_the_database(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    migrate = python(COORDINATOR, "migrate", "--json", "--database", f"sqlite:///{data}/r1.db")
    ended = run(mounted(data, FULL, migrate), tmp_path)
    assert ended.code == 3
    assert "cannot use the database" in ended.told["message"]


def test_settings_that_are_not_utf_8(tmp_path: Path) -> None:
    for program, name in ((NODE, "r1.toml"), (NET, "r1net.toml"), (COORDINATOR, "r1coordinator.toml")):
        (tmp_path / name).write_bytes(b'coordinator = "\xff"\n')
        arguments = ("migrate",) if program == COORDINATOR else ("doctor",)
        ended = run(python(program, *arguments, "--json"), tmp_path)
        assert ended.code == 2
        assert f"{name} is not TOML" in ended.told["message"]


def test_a_user_without_a_home_folder(tmp_path: Path, password: Path) -> None:
    """As in containers: a number without an entry among the users."""
    before = "import os, pathlib\nos.environ.pop('HOME')\nimport pwd\n"
    before += "def nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody"
    create_keystore(tmp_path / "data" / "wallet.json", "correct horse", iterations=2)
    ended = run(python(NODE, "init", "--json", "--password-file", password, before=before), tmp_path)
    assert (ended.code, ended.told["message"]) == (2, "this user has no home folder")
    with_data = python(NODE, "config", "show", "--json", "--data-dir", tmp_path / "data", before=before)
    assert run(with_data, tmp_path).code == 0

"""What a host gets wrong is answered with what it can do, and doing that helps."""

from __future__ import annotations

import codecs
import shlex
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from r1net.chain import create_keystore, load_keystore
from r1net.chain.keystore import read_password, require_private
from r1net.errors import KeyFileError
from tests.integration.edges.machine import READ_ONLY, mounted, python, run

NODE, NET, COORDINATOR = "r1node.cli.main", "r1net.cli.main", "r1coordinator.cli"
PASSWORD = "correct horse"


def kept(file: Path, content: bytes, mode: int = 0o600) -> Path:
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"correct horse",
        b"correct horse\n",
        b"correct horse\r\n",
        b"correct horse \t\n",
        codecs.BOM_UTF8 + b"correct horse\r\nand what it is for\n",
    ],
)
def test_what_editors_leave_beside_a_password_is_no_part_of_it(tmp_path: Path, content: bytes) -> None:
    create_keystore(tmp_path / "key", PASSWORD, iterations=2)
    assert load_keystore(tmp_path / "key", read_password(kept(tmp_path / "password", content)))


def test_white_space_that_is_left_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_password(kept(tmp_path / "password", b"correct horse \n"))
    assert "white space behind the password is left out" in caplog.text
    caplog.clear()
    assert read_password(kept(tmp_path / "password", b"  correct  horse\n")) == "  correct  horse"
    assert not caplog.text


@pytest.mark.parametrize("content", [PASSWORD.encode("utf-16"), b"\xff\xfe\xfd", b"p\xe4ssword\n"])
def test_a_password_file_that_is_not_utf_8(tmp_path: Path, content: bytes) -> None:
    create_keystore(tmp_path / "data" / "wallet.json", PASSWORD, iterations=2)
    file = kept(tmp_path / "password", content)
    options = ("--data-dir", tmp_path / "data", "--password-file", file, "--json")
    ended = run(python(NODE, "init", *options), tmp_path)
    assert ended.code == 4
    assert ended.told["message"] == f"the password file {file} is not UTF-8 text"
    assert ended.told["hint"] == "save it anew as UTF-8"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_password_that_others_can_read_is_refused_with_what_helps(tmp_path: Path, mode: int) -> None:
    file = kept(tmp_path / "password", b"correct horse\n", mode)
    with pytest.raises(KeyFileError, match="can be read by other users") as caught:
        read_password(file)
    assert caught.value.hint == f"run: chmod 600 {file}"
    file.chmod(0o600)
    assert read_password(file) == PASSWORD


def test_a_secret_that_a_container_engine_mounts_is_usable(tmp_path: Path) -> None:
    """Read by all, owned by root, in a place that can only be read."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    file = kept(folder / "password", b"correct horse\n", 0o444)
    with pytest.raises(KeyFileError):
        require_private(file)
    command = python(NODE, "init", "--data-dir", tmp_path / "data", "--password-file", file, "--json")
    ended = run(mounted(folder, READ_ONLY, command), tmp_path)
    assert ended.code == 0, ended


def test_a_secret_of_somebody_elses_is_usable(tmp_path: Path) -> None:
    assert Path("/etc/hostname").stat().st_mode & 0o044
    code = "import os; os.geteuid = lambda: 4711\nfrom pathlib import Path\n"
    code += "from r1net.chain.keystore import require_private as r; print(r(Path('/etc/hostname')))"
    assert run([sys.executable, "-c", code], tmp_path).out == "None\n"


def test_a_worker_without_a_key_is_told_the_command_that_makes_it(tmp_path: Path) -> None:
    kept(tmp_path / "password", b"correct horse\n")
    options = ("--data-dir", tmp_path / "my data", "--password-file", tmp_path / "password", "--json")
    assert run(python(NODE, "init", *options), tmp_path).code == 0
    ended = run(python(NODE, "join", "--worker", "gpu1", *options), tmp_path)
    assert ended.code == 4
    assert ended.told["message"].startswith("there is no key of worker 'gpu1' at ")
    what, _, command = ended.told["hint"].partition(": ")
    assert what == "make it"
    program, *arguments = shlex.split(command)
    assert program == "r1node"
    assert run(python(NODE, *arguments, "--password-file", tmp_path / "password"), tmp_path).code == 0
    assert (tmp_path / "my data" / "workers" / "gpu1" / "key.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--device", "gpu"), "setting 'device' (from flag): 'gpu' is not auto, cpu, cuda or cuda:N", "cuda:N"),
        (("--engine", "vlm"), "'vlm' is not 'auto', 'builtin' or 'vllm'", "did you mean vllm?"),
        (("--threads", "-1"), "setting 'threads' (from flag): -1 is not at least 0", "give 0 or more"),
        (("--worker", "gpu 1"), "'gpu 1' is not a name of up to 32 letters", "one for each GPU"),
        (
            ("--coordinator", "coordinator.example:8420"),
            "coordinator.example:8420",
            "write https://coordinator.example:8420",
        ),
        (("--coordinator", "127.0.0.1:8420"), "127.0.0.1:8420", "write http://127.0.0.1:8420"),
        (("--coordinator", "localhost:8420"), "localhost:8420", "write http://localhost:8420"),
        (("--rpc-url", "user:S3CRET@rpc.example/S3CRET"), "no http(s) address", "https://"),
    ],
)
def test_a_wrong_setting_says_what_would_be_right(
    tmp_path: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    ended = run(python(NODE, "join", *arguments, "--json"), tmp_path)
    assert ended.code == 2
    assert message in ended.told["message"]
    assert hint in ended.told["hint"]
    assert "S3CRET" not in ended.words


def test_a_mistyped_setting_is_answered_with_the_nearest(tmp_path: Path) -> None:
    for program, file, command in (
        (NODE, "r1.toml", ("status",)),
        (NET, "r1net.toml", ("jobs",)),
        (COORDINATOR, "r1coordinator.toml", ("migrate",)),
    ):
        (tmp_path / file).write_text('pasword_file = "x"\n')
        ended = run(python(program, *command, "--json"), tmp_path)
        assert ended.code == 2
        assert "no such setting" in ended.told["message"]
        assert ended.told["hint"] == "did you mean password_file?"


def test_a_number_out_of_range_in_every_programs_settings(tmp_path: Path) -> None:
    ended = run(python(COORDINATOR, "serve", "--port", "70000", "--json"), tmp_path)
    assert (ended.told["message"], ended.told["hint"]) == ("port: 70000 is not at most 65535", "give 65535 or less")


class _Page(BaseHTTPRequestHandler):
    """A proxy or a portal between, that answers everything with a page."""

    status = 200

    def do_GET(self) -> None:
        body = b"<html><body>Welcome to the hotel's network</body></html>"
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[200, 404, 502])
def page(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Page", (_Page,), {"status": request.param}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("program", "command"), [(NODE, "trust"), (NODE, "wallet"), (NET, "jobs")])
def test_a_page_instead_of_a_coordinator_is_told_in_a_sentence(
    tmp_path: Path, page: str, program: str, command: str
) -> None:
    create_keystore(tmp_path / "data" / "wallet.json", PASSWORD, iterations=2)
    data = ("--data-dir", tmp_path / "data") if program == NODE else ()
    ended = run(python(program, command, "--coordinator", page, *data, "--json"), tmp_path)
    assert ended.code in (1, 5)
    assert ended.told["code"] not in ("internal", "system")
    assert ended.told["message"]

"""What commands print: nothing that is to be copied is broken, nothing that a stranger writes moves the cursor."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from r1net.amounts import tokens
from r1net.cli.output import Amount, Moment, plain, render
from r1net.cli.table import table

ADDRESS = "0x" + "aB" * 20
DIGEST = "0x" + "0f" * 32
COMMAND = f"r1node trust --digest {DIGEST}"


@dataclass(frozen=True)
class Line:
    owner: str
    paid: Amount
    at: Moment
    next_step: str


LINE = Line(ADDRESS, Amount(80 * 10**18), Moment(1_800_000_000), f"compare it with its operator's, then: {COMMAND}")
PROGRAM = f"""
from tests.unit.sdk.test_output import LINE
from r1net.cli.output import render
render([LINE, LINE], False)
render({{"lines": [LINE], "held_by": [], "next_step": "{COMMAND}"}}, False)
"""


def environment_of(**more: str) -> dict[str, str]:
    """The surroundings of a program that isn't told about its screen, unless `more` does."""
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    return env | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])} | more


@pytest.mark.parametrize("more", [{}, {"COLUMNS": "40"}, {"COLUMNS": "80"}])
def test_ids_and_commands_are_whole_in_pipes(more: dict[str, str]) -> None:
    command = [sys.executable, "-c", PROGRAM]
    text = subprocess.run(command, env=environment_of(**more), capture_output=True, text=True, check=True).stdout
    assert text.count(ADDRESS) == 3
    assert text.count(COMMAND) == 4
    assert text.count("80 R1") == text.count("2027-01-15 08:00 UTC") == 3
    if not more:
        assert ADDRESS in text.splitlines()[1], "a row is a line: grep finds it"


def test_ids_and_commands_are_whole_on_a_terminal_of_40_columns() -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 40, 0, 0))
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment_of(), stdout=follower, check=True)
    os.close(follower)
    text = ""
    while not text.rstrip().endswith(f"next step          {COMMAND}"):
        text += os.read(leader, 65_536).decode()
    os.close(leader)
    assert text.count(ADDRESS) == 3
    assert text.count(COMMAND) == 4


SIGNS = st.characters(categories=["L", "N", "P", "S", "Zs"])
CELL = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60).map(
    lambda text: " ".join(text.split())
)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), st.integers(1, 120))
def test_a_table_keeps_every_word_and_its_width(rows: list[tuple[str, str, str]], width: int) -> None:
    text = table(("a", "b", "c"), rows, width)
    words = [word for row in rows for cell in row for word in cell.split()]
    missing = [word for word in words if word not in text]
    assert missing == []
    if text.splitlines()[0].split() == ["a", "b", "c"]:
        assert max(map(cell_len, text.splitlines())) <= width


def test_what_strangers_write_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    render({"name": "x\x1b[2Jy\r\u202ez", "text": "one\ntwo"}, False)
    assert capsys.readouterr().out.splitlines() == [f"{'name':<18} x�[2Jy��z", f"{'text':<18} one", f"{'':<18} two"]
    render([{"name": "[red]x[/red]\n\x07"}], False)
    assert capsys.readouterr().out.splitlines() == ["name", "[red]x[/red] �"]


@given(st.integers(0, 2**256), st.integers(0, 40))
def test_amounts_are_exact(wei: int, decimals: int) -> None:
    whole, _, part = tokens(wei, decimals).replace(",", "").partition(".")
    assert int(whole) * 10**decimals + int((part or "0").ljust(decimals, "0")[: decimals or 1]) == wei
    assert not re.search(r"\.\d*0$", tokens(wei, decimals))


def test_programs_get_wei_and_seconds() -> None:
    assert plain(LINE) == {
        "owner": ADDRESS,
        "paid": str(80 * 10**18),
        "at": 1_800_000_000,
        "next_step": LINE.next_step,
    }
    assert json.dumps(plain([Moment(5)])) == "[5]"
    assert f"{Moment(2**60)} {Moment(0)}" == f"second {2**60} 1970-01-01 00:00 UTC"

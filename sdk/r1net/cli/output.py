"""The one place that prints: results on stdout as text or JSON, errors as a line with its next step on stderr."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from r1net.amounts import DECIMALS, tokens
from r1net.cli.table import screen_width, table
from r1net.errors import R1Error

_LAST_DATE = 253_402_300_799
"""The end of the year 9999: contracts can name seconds beyond what calendars can."""
_LABEL = 18


@dataclass(frozen=True)
class Amount:
    """Money: to a program its smallest units (wei), to a person a number of `unit`."""

    wei: int
    unit: str = "R1"
    decimals: int = DECIMALS

    def __str__(self) -> str:
        return f"{tokens(self.wei, self.decimals)} {self.unit}".strip()


class Moment(int):
    """Unix seconds: to a program the number, to a person a date."""

    def __str__(self) -> str:
        if not 0 <= self <= _LAST_DATE:
            return f"second {int(self)}"
        return f"{datetime.fromtimestamp(self, UTC):%Y-%m-%d %H:%M} UTC"


def plain(value: Any, words: bool = False) -> Any:
    """Models and dataclasses as JSON data; integers beyond 2^53 as strings. With `words`, amounts and moments as a
    person reads them."""
    match value:
        case Amount():
            data: Any = str(value) if words else plain(value.wei)
        case Moment():
            data = str(value) if words else int(value)
        case BaseModel():
            data = value.model_dump(mode="json")
        case dict():
            data = {str(key): plain(item, words) for key, item in value.items()}
        case list() | tuple():
            data = [plain(item, words) for item in value]
        case int() if abs(value) > 2**53:
            data = str(value)
        case Path():
            data = str(value)
        case _ if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            data = plain({field.name: getattr(value, field.name) for field in fields}, words)
        case _:
            data = value
    return data


def render(result: Any, as_json: bool) -> None:
    """Print what a command returned."""
    if result is None:
        return
    if as_json:
        put(json.dumps(plain(result), indent=2))
        return
    data = plain(result, words=True)
    if isinstance(data, list):
        put(_table(data) if data else "nothing yet")
    else:
        _print_fields(data)


def put(text: str, end: str = "\n") -> None:
    """Print to where it goes, now: what fails at the end of a process is told by nobody. OSErrors name the output."""
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        silence()
        raise OSError(error.errno, error.strerror, "standard output") from error


def silence() -> None:
    """What is still in the output's buffer goes nowhere: it would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def render_error(error: R1Error, as_json: bool) -> None:
    """Print an error for a person, or `{code, message, hint}` for a program."""
    if as_json:
        print(json.dumps({"code": error.code, "message": error.message, "hint": error.hint}), file=sys.stderr)
        return
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)


def _print_fields(data: dict[str, Any]) -> None:
    for name, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            put(f"\n{name.replace('_', ' ')}\n{_table(value)}")
        else:
            under = _cell(value).replace("\n", "\n" + " " * (_LABEL + 1))
            put(f"{name.replace('_', ' '):<{_LABEL}} {under}")


def _table(rows: list[dict[str, Any]]) -> str:
    names = [name.replace("_", " ") for name in rows[0]]
    cells = [[_cell(value).replace("\n", " ") for value in row.values()] for row in rows]
    return table(names, cells, screen_width())


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "–"
    text = str(value)
    return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)

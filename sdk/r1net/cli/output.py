"""The one place that prints: results on stdout as text or JSON, errors as a line with its next step on stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from r1net.amounts import tokens
from r1net.errors import R1Error

__all__ = ["plain", "render", "render_error", "tokens"]


def plain(value: Any) -> Any:
    """Models and dataclasses as JSON data; integers beyond 2^53 as strings."""
    match value:
        case BaseModel():
            data: Any = value.model_dump(mode="json")
        case dict():
            data = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            data = [plain(item) for item in value]
        case int() if abs(value) > 2**53:
            data = str(value)
        case Path():
            data = str(value)
        case _ if dataclasses.is_dataclass(value):
            data = plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        case _:
            data = value
    return data


def render(result: Any, as_json: bool) -> None:
    """Print what a command returned."""
    if result is None:
        return
    data = plain(result)
    if as_json:
        print(json.dumps(data, indent=2))
        return
    console = Console(highlight=False)
    if isinstance(data, list):
        console.print(_table(data) if data else "nothing yet")
    else:
        _print_fields(console, data)


def render_error(error: R1Error, as_json: bool) -> None:
    """Print an error for a person, or `{code, message, hint}` for a program."""
    if as_json:
        print(json.dumps({"code": error.code, "message": error.message, "hint": error.hint}), file=sys.stderr)
        return
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)


def _print_fields(console: Console, data: dict[str, Any]) -> None:
    for name, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            console.print(f"\n{name}")
            console.print(_table(value))
        else:
            console.print(f"{name.replace('_', ' '):<18} {_cell(value)}", soft_wrap=True)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

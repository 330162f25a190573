"""Rows as text that can be copied: an address, an id or a command stands on one line, however narrow the screen."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence

from rich.cells import cell_len

GAP = "  "
_WHOLE = re.compile(r"`[^`]*`\S*|(?:r1node|r1net|r1coordinator) [^;,`()]*[;,)]*|run: .*|\S+")
"""What is never broken: a command, and a word."""


def screen_width() -> int | None:
    """Columns of the screen that is written to; None where there is none, and a line may be as long as it is."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def table(names: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """A table where one fits, prose broken between words; else a block of lines for each row."""
    columns = list(zip(names, *rows, strict=True))
    widths = _fit([_widest(column) for column in columns], [_narrowest(column) for column in columns], width)
    if widths is None:
        return "\n\n".join(block(names, row) for row in rows)
    return "\n".join(_line(row, widths) for row in (names, *rows))


def block(names: Sequence[str], values: Sequence[str]) -> str:
    """A line for each value, behind its name."""
    room = max(map(len, names))
    return "\n".join(f"{name:<{room}}{GAP}{value}".rstrip() for name, value in zip(names, values, strict=True))


def _widest(column: Sequence[str]) -> int:
    return max(map(cell_len, column))


def _narrowest(column: Sequence[str]) -> int:
    return max(cell_len(piece) for cell in column for piece in _pieces(cell))


def _pieces(cell: str) -> list[str]:
    return [piece.strip() for piece in _WHOLE.findall(cell)] or [""]


def _fit(widest: Sequence[int], narrowest: Sequence[int], width: int | None) -> list[int] | None:
    """Widths of columns that fit; the widest give way first. None where nothing does."""
    widths = list(widest)
    if width is None:
        return widths
    room = width - len(GAP) * (len(widths) - 1)
    while sum(widths) > room:
        shrinkable = [at for at, least in enumerate(narrowest) if widths[at] > least]
        if not shrinkable:
            return None
        widths[max(shrinkable, key=lambda at: widths[at])] -= 1
    return widths


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    wrapped = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for at in range(max(map(len, wrapped))):
        parts = [part[at] if at < len(part) else "" for part in wrapped]
        padded = (part + " " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True))
        lines.append(GAP.join(padded).rstrip())
    return "\n".join(lines)


def _wrap(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    lines = [""]
    for piece in _pieces(cell):
        longer = f"{lines[-1]} {piece}".lstrip()
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(piece)
    return [line for line in lines if line]

"""Where a key of a TOML text stands: parsers don't say, and whoever wrote a bad value wants to know the line."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*\[(\[)?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of each table and key. Keys of inline tables are not looked for."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found[table] = number
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def line_of(lines: dict[Path, int], where: Path) -> int | None:
    """The line of a value: of its own key, or of the nearest around it. None where it stands nowhere."""
    for end in range(len(where), 0, -1):
        for path in (where[:end], tuple(part for part in where[:end] if isinstance(part, str))):
            if path in lines:
                return lines[path]
    return None


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))

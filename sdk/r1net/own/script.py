"""What a Python file says that it needs: inline script metadata (PEP 723)."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from r1net.errors import UsageError

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The specification's own expression."""
_SETTINGS = ("seconds", "import_seconds", "memory_bytes", "on_timeout")


@dataclass(frozen=True)
class Script:
    """The packages that a file imports from, as requirements (PEP 508), and its settings from `[tool.r1net]`.

    `closed`: they are all that it imports from, whatever else they name themselves.
    """

    dependencies: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    closed: bool = False


def read_script(source: str, name: str) -> Script:
    """What the file `name` says of itself. Raises UsageError on what is no such metadata, and when it is for another
    Python than this."""
    blocks = [found for found in _BLOCK.finditer(source.replace("\r\n", "\n")) if found["type"] == "script"]
    if not blocks:
        return Script()
    if len(blocks) > 1:
        raise UsageError(f"{name} has {len(blocks)} blocks `# /// script`; it may have one")
    lines = blocks[0]["content"].splitlines()
    try:
        table = tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the block `# /// script` of {name} is no TOML: {error}") from error
    _check_python(table.get("requires-python", ""), name)
    settings = _settings(table.get("tool", {}), name)
    closed = settings.pop("closed", False)
    if not isinstance(closed, bool):
        raise UsageError(f"closed in [tool.r1net] of {name} must be true or false")
    return Script(_dependencies(table.get("dependencies", []), name), settings, closed)


def _check_python(wanted: object, name: str) -> None:
    here = ".".join(map(str, sys.version_info[:3]))
    try:
        fits = isinstance(wanted, str) and SpecifierSet(wanted).contains(here, prereleases=True)
    except InvalidSpecifier as error:
        raise UsageError(f"requires-python of {name} is no version specifier: {wanted!r}") from error
    if not fits:
        raise UsageError(f"{name} requires Python {wanted}, and this is {here}", hint="submit with that Python")


def _dependencies(found: object, name: str) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise UsageError(f"dependencies of {name} must be a list")
    for one in found:
        try:
            requirement = Requirement(one)
        except (InvalidRequirement, TypeError) as error:
            raise UsageError(f"{one!r} in {name} is no requirement: {error}") from error
        if requirement.url is not None:
            raise UsageError(f"{one!r} in {name} names an address", hint="name a version that a package index has")
    return tuple(found)


def _settings(tools: object, name: str) -> dict[str, Any]:
    table = tools.get("r1net", {}) if isinstance(tools, dict) else {}
    known = (*_SETTINGS, "closed")
    if not isinstance(table, dict) or not set(table) <= set(known):
        raise UsageError(f"[tool.r1net] of {name} may have {', '.join(known)}")
    return dict(table)

"""What an adapter makes of an environment: rows, and the file that travels with the job and plays it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any, NotRequired, TypedDict

from r1net.adapters.places import Place
from r1net.datasets import Dataset
from r1net.errors import UsageError
from r1net.whole import write_whole

_BODIES = Path(__file__).parent / "bodies"
_COMMON = "from r1net.adapters.bodies.common import "
_SETTINGS = "SETTINGS: dict[str, Any] = {}"
_HEADER = """\
# Made by r1net.adapters.{adapter}: it plays {environment!r}.
# /// script
# requires-python = ">=3.11"
# dependencies = [
{dependencies}# ]
#
# [tool.r1net]
# closed = true
# seconds = {seconds}
# import_seconds = 60
# memory_bytes = 1073741824
# ///
"""


class Arguments(TypedDict):
    """What `Client.train` is given for an environment."""

    dataset: Dataset
    reward: str
    tool: NotRequired[str]


@dataclass(frozen=True)
class Job:
    """An environment of others as a job's problems, its reward and, where it has turns, the tool that answers.

    `file` is what travels: it can be read, and changed.
    """

    rows: list[dict[str, Any]]
    file: Path
    played: bool

    @property
    def arguments(self) -> Arguments:
        """For `client.train(**job.arguments, …)`. Where tasks ask the same and differ in what they hide, as games do,
        nothing is held out: a row of training may not ask a held-out question."""
        asked = {json.dumps(row.get("messages", row.get("question"))) for row in self.rows}
        dataset = Dataset(self.rows) if len(asked) == len(self.rows) else Dataset(self.rows, heldout=0)
        found = Arguments(dataset=dataset, reward=f"{self.file}:earned")
        if self.played:
            found["tool"] = f"{self.file}:play"
        return found


def make(place: Place, settings: Mapping[str, Any], request: Mapping[str, Any], seconds: float) -> Job:
    """Read an environment where it is installed, and write the file that plays it. Raises UsageError."""
    found = place.ask(_write(place, settings, [], seconds), request)
    if not found["rows"]:
        raise UsageError(f"the environment {settings['module']} has no tasks")
    if found["strange"]:
        names = ", ".join(found["strange"])
        raise UsageError(f"{names} come from no installed package", hint="bring it as a package, or all in one file")
    return Job(found["rows"], _write(place, settings, found["packages"], seconds), found["played"])


def source_of(file: str) -> dict[str, Any]:
    """The settings that hold one file of the submitter's own, whole. Raises UsageError."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if not path.stem.isidentifier() or not path.stem.islower():
        raise UsageError(f"{path.name} is no module's name", hint="call it by lower-case letters, digits and _")
    try:
        return {"module": path.stem, "source": path.read_text()}
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error


def _write(place: Place, settings: Mapping[str, Any], packages: Sequence[str], seconds: float) -> Path:
    header = _HEADER.format(
        adapter=place.adapter,
        environment=settings["module"],
        dependencies="".join(f"#   {json.dumps(one)},\n" for one in packages),
        seconds=seconds,
    )
    common = (_BODIES / "common.py").read_text()
    assert common.count(_SETTINGS) == 1
    told = pformat(json.loads(json.dumps(settings)), width=110, sort_dicts=False)
    kept = common.replace(_SETTINGS, f"SETTINGS: dict[str, Any] = {told}")
    body = (_BODIES / f"{place.adapter}.py").read_text()
    lines = [line for line in body.splitlines(keepends=True) if not line.startswith(_COMMON)]
    text = f"{header}{kept}\n\n{''.join(lines)}"
    folder = place.root / "made"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{settings['module'].rpartition('/')[2]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.py"
    write_whole(path, text)
    return path

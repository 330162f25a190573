"""Where a submitter's metrics go while a job runs: `run.track("tensorboard:runs/sums", "wandb:my-project")`.

    jsonl:FILE               a line for each round, the form of `run.download`'s metrics.jsonl
    tensorboard:FOLDER       event files; needs `pip install 'r1net[tensorboard]'`
    wandb:[ENTITY/]PROJECT   Weights & Biases, the job's id being the run's; needs `pip install 'r1net[wandb]'`

A target that has rounds already goes on behind its last one, so a program that was stopped can be started again.
"""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from r1net.errors import UsageError
from r1net.protocol.views import RoundRecord


class Tracker(Protocol):
    """Takes finished rounds in their order. `last_round` is the newest one it has, -1 for none."""

    last_round: int

    def log(self, record: RoundRecord) -> None:
        """Keep one round, durably."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def json_line(record: RoundRecord) -> str:
    """A round as one line of metrics.jsonl."""
    return json.dumps({"round": record.round, **record.metrics}) + "\n"


class JsonlTracker:
    """Appends to a JSON-lines file. A last line that a crash cut off is taken back.

    Raises UsageError on a file that holds something else.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        self.last_round: int = max(map(_round_of, whole.splitlines()), default=-1)
        self._file = path.open("ab")
        self._file.truncate(len(whole))

    def log(self, record: RoundRecord) -> None:
        """Append one line."""
        self._file.write(json_line(record).encode())
        self._file.flush()
        self.last_round = record.round

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardTracker:
    """Writes TensorBoard event files: one event for each round, so that a round is there as a whole or not at all.

    Raises UsageError without the package tensorboardX.
    """

    def __init__(self, folder: Path | str) -> None:
        self._summary = _package("tensorboardX.proto.summary_pb2", "tensorboard").Summary
        event = _package("tensorboardX.proto.event_pb2", "tensorboard").Event
        self.last_round: int = max(_event_steps(Path(folder), event.FromString), default=-1)
        # the writer's file names have seconds: the suffix keeps a quick restart from writing over the last file
        suffix = f".{self.last_round + 1}"
        self._writer = _package("tensorboardX", "tensorboard").FileWriter(str(folder), filename_suffix=suffix)

    def log(self, record: RoundRecord) -> None:
        """Write one event and flush it."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in record.metrics.items()]
        self._writer.add_summary(self._summary(value=values), record.round, record.finished_at)
        self._writer.flush()
        self.last_round = record.round

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class WandbTracker:
    """Logs to Weights & Biases: `project` may name an entity before a slash. The run's id is the job's.

    Mode, key and folder are W&B's own settings (WANDB_MODE, WANDB_API_KEY, WANDB_DIR). Offline runs can't be resumed:
    started again, each holds all rounds. Raises UsageError without the package wandb.
    """

    def __init__(self, project: str, job_id: str) -> None:
        wandb = _package("wandb", "wandb")
        entity, _, name = project.rpartition("/")
        self._run = wandb.init(
            project=name,
            entity=entity or None,
            id=job_id.removeprefix("0x"),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        self.last_round: int = self._run.starting_step - 1 if self._run.resumed else -1

    def log(self, record: RoundRecord) -> None:
        """Log one step, numbered like the round."""
        self._run.log(dict(record.metrics), step=record.round, commit=True)
        self.last_round = record.round

    def close(self) -> None:
        """Upload what is left and finish the run."""
        self._run.finish()


_KINDS: dict[str, Callable[[str, str], Tracker]] = {
    "jsonl": lambda place, _: JsonlTracker(place),
    "tensorboard": lambda place, _: TensorBoardTracker(place),
    "wandb": WandbTracker,
}


def open_tracker(target: str, job_id: str) -> Tracker:
    """The tracker that `kind:place` means. Raises UsageError naming the kinds, or the extra that is missing."""
    kind, _, place = target.partition(":")
    if kind not in _KINDS or not place:
        known = ", ".join(f"{name}:…" for name in _KINDS)
        raise UsageError(f"cannot track to {target!r}", hint=f"use {known}")
    return _KINDS[kind](place, job_id)


def _round_of(line: bytes) -> int:
    try:
        return int(json.loads(line)["round"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("the file to track to holds lines that are no rounds", hint="name a new file") from error


def _package(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{extra} tracking needs the package {name.partition('.')[0]}", hint=f"pip install 'r1net[{extra}]'"
        ) from error


def _event_steps(folder: Path, parse: Callable[[bytes], Any]) -> Iterator[int]:
    """The steps of all summaries below `folder`. An event file is a chain of records (length, checksum, event,
    checksum); a crash may cut the last one off."""
    for file in folder.glob("events.out.tfevents.*"):
        data, start = file.read_bytes(), 12
        while start <= len(data):
            (length,) = struct.unpack_from("<Q", data, start - 12)
            if start + length + 4 > len(data):
                break
            event = parse(data[start : start + length])
            if event.HasField("summary"):
                yield int(event.step)
            start += length + 16

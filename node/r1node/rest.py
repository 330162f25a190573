"""When a worker rests: its host has paused it, it is out of hours, or the machine is too hot.

A pause is a file, so that it holds over restarts and reaches workers in other containers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from r1net.errors import PreflightError
from r1node.hours import Hours

LOOK = 2.0
"""Seconds between two looks whether a rest is over."""
COOLER = 5.0
"""Degrees below the limit at which a machine that was too hot works again."""
_PAUSE = "pause"
Thermometer = Callable[[], float | None]


def pause(folder: Path, until: float | None) -> None:
    """Let the workers of a folder rest: until a time (Unix seconds), or until they are resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PAUSE).write_text("" if until is None else f"{until:.0f}\n")


def resume(folder: Path) -> None:
    """Let them work again."""
    (folder / _PAUSE).unlink(missing_ok=True)


def paused(folder: Path, now: float) -> str | None:
    """Why a folder's workers rest by their host's word; None where they don't."""
    try:
        text = (folder / _PAUSE).read_text().strip()
    except FileNotFoundError:
        return None
    if not text.isdigit():
        return "paused; r1node resume"
    return f"paused until {datetime.fromtimestamp(int(text)):%H:%M}; r1node resume" if now < int(text) else None


def thermometer(device: str) -> Thermometer:
    """What tells how hot the machine is, in °C: the GPU, or the hottest sensor of the processor."""
    if device == "cpu":
        return _hottest
    import torch  # noqa: PLC0415 - commands that only pause need none

    return lambda: float(torch.cuda.temperature(device))


def _hottest() -> float | None:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return max((reading.current for readings in sensors.values() for reading in readings), default=None)


@dataclass
class Rest:
    """What one worker asks before each task. `folders` may hold a pause: the data folder's and the worker's own."""

    folders: tuple[Path, ...]
    hours: Hours = field(default_factory=Hours)
    limit: float | None = None
    temperature: Thermometer = _hottest
    _hot: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.temperature() is None:
            raise PreflightError("this machine tells no temperature", hint="leave max_temperature out")

    def reason(self) -> str | None:
        """Why the worker rests now; None when it may work."""
        now = time.time()
        for folder in self.folders:
            if (why := paused(folder, now)) is not None:
                return why
        here = datetime.now()
        if not self.hours.open(here):
            return f"out of its hours until {self.hours.opens(here):%a %H:%M}"
        return self._heat()

    def _heat(self) -> str | None:
        if self.limit is None or (degrees := self.temperature()) is None:
            return None
        self._hot = degrees > self.limit - (COOLER if self._hot else 0.0)
        return f"at {degrees:.0f} °C, above {self.limit:g}" if self._hot else None

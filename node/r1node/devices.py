"""What a worker computes on: a GPU of its own, or the processor."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from r1net.errors import PreflightError, UsageError
from r1node.locks import holding


def gpus() -> tuple[str, ...]:
    """The GPUs of this machine, as CUDA numbers them: those that CUDA_VISIBLE_DEVICES leaves."""
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def pick_device(wanted: str) -> str:
    """`auto` is the first GPU where there is one. Raises PreflightError for a GPU that isn't there."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise PreflightError(f"no {wanted} on this machine", hint="use --device cpu, or check the driver")
    return wanted


@contextmanager
def own_device(wanted: str, home: Path, there: Sequence[str]) -> Iterator[str]:
    """A device that no other worker of this data folder has, out of the GPUs that are `there`: the one that is wanted,
    or with `auto` the first that is free. The processor can be shared. Raises PreflightError."""
    if wanted == "cpu" or (wanted == "auto" and not there):
        yield "cpu"
        return
    name = f"{wanted}:0" if wanted == "cuda" else wanted
    if name != "auto" and name not in there:
        raise PreflightError(f"no {name} on this machine", hint=f"there are: {', '.join((*there, 'cpu'))}")
    with ExitStack() as stack:
        yield _first_free(stack, there if name == "auto" else (name,), home, name)


def _first_free(stack: ExitStack, devices: Sequence[str], home: Path, wanted: str) -> str:
    """The first device that no worker has, held by the stack."""
    for device in devices:
        with suppress(PreflightError):
            stack.enter_context(holding(home / "devices" / device.replace(":", ""), f"{device} is taken", ""))
            return device
    what = "every GPU of this machine has" if wanted == "auto" else f"{wanted} has"
    raise PreflightError(f"{what} a worker of this data folder already", hint="`r1node status` shows them")


def each_device(wanted: str, there: Sequence[str]) -> tuple[str, ...]:
    """The devices of a list like "cuda:0,cuda:1"; "all" is every GPU. Raises UsageError."""
    if wanted == "all":
        if not there:
            raise UsageError("there is no GPU on this machine", hint="leave --devices out, to work on its processor")
        return tuple(there)
    found = tuple(part.strip() for part in wanted.split(",") if part.strip())
    for device in found:
        if device not in {*there, "cpu"}:
            raise UsageError(
                f"there is no {device!r} on this machine", hint=f"name all, or of {', '.join((*there, 'cpu'))}"
            )
        if device != "cpu" and found.count(device) > 1:
            raise UsageError(f"{device} is named twice", hint="a GPU has one worker")
    if not found:
        raise UsageError("no device is named", hint="name all, or devices with commas: cuda:0,cuda:1")
    return found


def worker_names(devices: Sequence[str]) -> tuple[str, ...]:
    """A name for the worker of each device, the same at every start: gpu0, gpu1, cpu0."""
    seen: dict[str, int] = {}
    names = []
    for device in devices:
        kind, _, number = device.partition(":")
        seen[kind] = seen.get(kind, -1) + 1
        names.append(f"gpu{number}" if number else f"{kind}{seen[kind]}")
    return tuple(names)


def hardware(device: str) -> str:
    """One line on what the worker runs on."""
    if device != "cpu":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"

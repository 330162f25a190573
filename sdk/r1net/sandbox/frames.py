"""Messages between a sandboxed process and the one that asks: JSON with bytes behind it, each with its length.

Nothing is unpickled, and the reader bounds what it takes before it reads it. Who reads what a sandboxed process says
brings a parser that bounds depth, too: where a library has raised Python's recursion limit, `json` overruns the stack.
Imports nothing but the standard library, for it also runs where strangers' own code does.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

_LENGTHS = struct.Struct(">QB")
_SIZE = struct.Struct(">Q")
_MOST_ATTACHMENTS = 8


class Ended(Exception):
    """The other side is gone, silent for too long, or speaks another language."""


class Silent(Ended):
    """The other side said nothing before its deadline."""


def send(channel: socket.socket, header: dict[str, Any], *attachments: bytes) -> None:
    """Write one message. Raises Ended when nobody reads any more."""
    encoded = json.dumps(header, separators=(",", ":")).encode()
    sizes = b"".join(_SIZE.pack(len(data)) for data in attachments)
    try:
        channel.sendall(_LENGTHS.pack(len(encoded), len(attachments)) + sizes + encoded)
        for data in attachments:
            channel.sendall(data)
    except OSError as error:
        raise Ended(f"nobody reads: {type(error).__name__}") from error


def receive(
    channel: socket.socket,
    limit: int,
    deadline: float | None = None,
    parse: Callable[[bytes], Any] = json.loads,
) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Read one message of at most `limit` bytes before `deadline` (of `time.monotonic`). Raises Ended, Silent."""
    length, count = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size, deadline))
    if count > _MOST_ATTACHMENTS:
        raise Ended("not a message")
    sizes = [_SIZE.unpack(_exactly(channel, _SIZE.size, deadline))[0] for _ in range(count)]
    if length + sum(sizes) > limit:
        raise Ended(f"a message of {length + sum(sizes)} bytes; at most {limit} are read")
    try:
        header = parse(_exactly(channel, length, deadline))
    except ValueError as error:
        raise Ended("not a message") from error
    if not isinstance(header, dict):
        raise Ended("not a message")
    return header, tuple(_exactly(channel, size, deadline) for size in sizes)


def _exactly(channel: socket.socket, size: int, deadline: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            if deadline is not None:
                channel.settimeout(max(deadline - time.monotonic(), 0.001))
            chunk = channel.recv(min(size - len(data), 1 << 20))
        except TimeoutError as error:
            raise Silent("no answer in time") from error
        except OSError as error:
            raise Ended(f"no answer: {type(error).__name__}") from error
        if not chunk:
            raise Ended("the process ended")
        data += chunk
    return bytes(data)

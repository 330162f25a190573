"""Plain Python values as bytes, between a model's program and the tests that judge it.

Only what is data crosses: the other side gets built-in values of exact types, whose equality nobody has redefined, or
an object that equals nothing. Imports nothing but the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

MOST_BYTES = 2**22


class Unknown:
    """A value that is no plain data: equal to nothing but itself."""


def encode(value: Any) -> bytes:
    """Bytes of a value. Raises ValueError when they are too many, RecursionError when it is nested too deeply."""
    data = json.dumps(_packed(value), separators=(",", ":")).encode()
    if len(data) > MOST_BYTES:
        raise ValueError(f"a value of {len(data)} bytes")
    return data


def decode(data: bytes) -> Any:
    """The value. Raises ValueError, TypeError, RecursionError and others on what `encode` doesn't make."""
    return _unpacked(json.loads(data))


_SEQUENCES: dict[str, type] = {"l": list, "t": tuple, "s": set, "z": frozenset}


def _packed(value: Any) -> Any:
    """Values of types derived from a built-in one travel as that: a Counter is a dict, a named tuple a tuple."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    pack = next((pack for kind, pack in _PACK.items() if isinstance(value, kind)), None)
    return ["?"] if pack is None else pack(value)


def _unpacked(packed: Any) -> Any:
    if not isinstance(packed, list):
        return packed
    tag, *rest = packed
    return _UNPACK[tag](*rest)


def _items(tag: str, value: Any) -> list[Any]:
    return [tag, [_packed(item) for item in value]]


def _made(kind: type, items: Any) -> Any:
    return kind(_unpacked(item) for item in items)


_PACK: dict[type, Callable[[Any], list[Any]]] = {
    int: lambda value: ["i", hex(int(value))],
    float: lambda value: ["f", float.hex(value)],
    complex: lambda value: ["c", float.hex(value.real), float.hex(value.imag)],
    bytes: lambda value: ["b", bytes(value).hex()],
    dict: lambda value: ["d", [[_packed(key), _packed(item)] for key, item in value.items()]],
}
_PACK |= {kind: partial(_items, tag) for tag, kind in _SEQUENCES.items()}

_UNPACK: dict[str, Callable[..., Any]] = {
    "i": lambda digits: int(digits, 16),
    "f": float.fromhex,
    "c": lambda real, imag: complex(float.fromhex(real), float.fromhex(imag)),
    "b": bytes.fromhex,
    "d": lambda items: {_unpacked(key): _unpacked(item) for key, item in items},
    "?": Unknown,
}
_UNPACK |= {tag: partial(_made, kind) for tag, kind in _SEQUENCES.items()}

"""Between float32 and the 16-bit floats, in whole-number arithmetic that is the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_INFINITY = np.uint32(0x7F800000)
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_NAN = np.uint16(0x7FC0)


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even (IEEE-754, 4.3.1); what is too large becomes infinite, and every
    NaN becomes the quiet one. bfloat16 is float32's upper half: half a unit is added below it, less one to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    result = rounded.astype(np.uint16)
    result[(bits & _MAGNITUDE) > _INFINITY] = _NAN
    return result


def widen(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of bfloat16 bits. Exact."""
    wide = np.ascontiguousarray(bits, dtype=np.uint16).astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def widen_half(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The float32 values of float16 bits (IEEE-754's binary16). Exact."""
    return np.ascontiguousarray(bits, dtype=np.uint16).view(np.float16).astype(np.float32)

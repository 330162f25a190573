"""What trainers say of their gradients: a commitment before they see others', and a signed statement after the draw."""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from typing import Annotated

from pydantic import AfterValidator, Field

from r1net.protocol.canonical import Address, Hash, Message, Signature
from r1net.protocol.job import PolicyVersion
from r1net.protocol.trace import trace_tree

BUCKETS = 2048
"""Values of a gradient's sketch: norms come out within √(2 / BUCKETS) = 3 %."""


def pack(values: array[float]) -> str:
    """A sketch as base64 of its little-endian float32 values."""
    return base64.b64encode(_little(values).tobytes()).decode()


def unpack(text: str) -> array[float]:
    """The values of a sketch."""
    values = array("f")
    values.frombytes(base64.b64decode(text, validate=True))
    return _little(values)


def _little(values: array[float]) -> array[float]:
    if sys.byteorder == "big":
        values = array("f", values)
        values.byteswap()
    return values


def _sketch(text: str) -> str:
    try:
        values = unpack(text)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not a sketch: {error}") from error
    if len(values) != BUCKETS or not all(map(math.isfinite, values)):
        raise ValueError(f"a sketch has {BUCKETS} finite values")
    return text


Sketch = Annotated[str, Field(max_length=BUCKETS * 6), AfterValidator(_sketch)]
"""A count-sketch (BUCKETS) in float32, little-endian, base64."""


class GradientCommitment(Message):
    """Body of POST /v1/leases/{id}/gradient: fixes a slot's gradient before it is averaged.

    `sections` are the SHA-256 of the parts that each slot reduces, in the order of the slots: a reducer takes nothing
    else. `norm` is the L2 norm of the whole gradient, which is already divided by the round's tokens.
    """

    lease_id: str
    sections: tuple[Hash, ...] = Field(min_length=1, max_length=1024)
    norm: float = Field(ge=0)


class GradientStatement(Message):
    """What a trainer answers for: that this is its slot's gradient, and that its step led to `version`.

    `task` is the digest of the TrainTask that it was given. `sketch` is of its own gradient, `total` of the sum of all
    slots', both with `seed`, which was drawn when the gradients were fixed and averaged. It is signed like a submission
    with one leaf, its digest, so that a contract can take it for evidence.
    """

    job_id: Hash
    round: int = Field(ge=0)
    attempt: int = Field(ge=1)
    lease_id: str
    worker: Address
    task: Hash
    commitment: Hash
    norm: float = Field(ge=0)
    seed: Hash
    sketch: Sketch
    total: Sketch
    version: PolicyVersion

    def root(self) -> str:
        """The root of the tree that has the statement as its only leaf."""
        return trace_tree([self.digest()]).root


class SignedStatement(Message):
    """Body of POST /v1/leases/{id}/statement. `signature` is EIP-712
    `Submission(string lease, bytes32 tracesRoot, uint256 count)` with the statement's root, and a count of 1."""

    statement: GradientStatement
    signature: Signature

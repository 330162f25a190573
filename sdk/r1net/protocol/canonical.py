"""One encoding and one hash for everything that is signed, stored or anchored.

A message is encoded with RFC 8785 (JSON Canonicalization Scheme) and hashed with SHA-256 (FIPS 180-4).
RFC 8785 numbers are IEEE 754 doubles, so integers beyond 2^53 travel as decimal strings (`Wei`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import rfc8785
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

from r1net.errors import ProtocolError
from r1net.faults import in_words


def _as_int(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value


Hash = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
"""32 bytes as lower-case hex with 0x: a SHA-256 digest, a Merkle root, or a job id."""

Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
"""An EVM account, EIP-55 checksummed where it was produced by r1net."""

Signature = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{130}$")]
"""65 bytes r‖s‖v of secp256k1, hex with 0x."""

Wei = Annotated[
    int,
    BeforeValidator(_as_int),
    Field(strict=True, ge=0, lt=2**256),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,78}$"}, {"type": "integer", "minimum": 0}]}),
]
"""A token amount in the token's smallest unit; a decimal string on the wire."""


class Message(BaseModel):
    """Base of all that crosses a wire: frozen, versioned, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    v: Literal[1] = 1

    def canonical(self) -> bytes:
        """The message's RFC 8785 bytes."""
        return canonical_bytes(self.model_dump(mode="json"))

    def digest(self) -> str:
        """SHA-256 of the canonical bytes, `0x` hex."""
        return sha256(self.canonical())

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a message from JSON. Raises ProtocolError naming the first field that is wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "message"
            raise ProtocolError(f"{cls.__name__}: {where}: {first['msg']}") from error


if TYPE_CHECKING:  # type checkers know BaseModel's metaclass by its private name only

    class Setting(Message):
        """See below."""

else:

    class _InWords(type(BaseModel)):
        """Of what people make by its name: a fault is told in words, and not by pydantic. What is read from a wire, or
        is a part of something else, is made by pydantic, and not by its name."""

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                raise in_words(error, cls, f"{cls.__name__}(…)") from error

    class Setting(Message, metaclass=_InWords):
        """Base of what submitters write in their own programs. Making one raises UsageError."""


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 bytes of plain JSON data. Raises ProtocolError on NaN, infinities and integers beyond 2^53."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise ProtocolError(f"cannot be encoded canonically: {error}") from error


def sha256(data: bytes) -> str:
    """SHA-256 as `0x` hex."""
    return "0x" + hashlib.sha256(data).hexdigest()

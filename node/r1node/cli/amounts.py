"""Amounts as people write them."""

from __future__ import annotations

from r1net.errors import UsageError
from r1net.jobs.file import in_wei


def r1_wei(text: str) -> int:
    """The wei of "80 R1" or "5 wei". Raises UsageError for what is no amount, or not above zero."""
    try:
        wei = in_wei(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if wei <= 0:
        raise UsageError(f"{text!r} is not above zero", hint='write "80 R1", or "5 wei"')
    return wei

"""Amounts and addresses as people write them."""

from __future__ import annotations

import re

from eth_utils.address import is_checksum_address

from r1net.amounts import DECIMALS
from r1net.errors import UsageError

_NUMBER = re.compile(r"(\d{1,78}|\d{1,3}(?:,\d{3}){1,25})(?:\.(\d{1,77}))?", re.ASCII)
"""Commas only between thousands, as amounts are shown: "1,5" is none."""


def r1_wei(text: str) -> int:
    """The wei of "80 R1" or "5 wei". Raises UsageError for what is no amount, or not above zero."""
    number, _, unit = text.strip().partition(" ")
    decimals = {"R1": DECIMALS, "wei": 0}.get(unit.strip())
    if decimals is None:
        raise UsageError(f"{text!r} is no amount", hint='write "80 R1", or "5 wei"')
    return units(number, decimals)


def units(text: str, decimals: int) -> int:
    """A number of whole tokens in their smallest units, exactly. Raises UsageError."""
    match = _NUMBER.fullmatch(text)
    whole, part = (match[1].replace(",", ""), match[2] or "") if match else ("", "")
    if not whole or len(part) > decimals:
        raise UsageError(f"{text!r} is no number with up to {decimals} digits behind the point")
    found: int = int(whole) * 10**decimals + int(part.ljust(decimals, "0") or "0")
    if found == 0:
        raise UsageError("the amount is zero")
    return found


def checked_address(text: str) -> str:
    """An address whose checksum holds: its capital letters show a digit that was mistyped. Raises UsageError."""
    if not is_checksum_address(text):
        raise UsageError(
            f"{text!r} is no address with a checksum",
            hint="copy it as wallets show it, with its capital letters: without them a wrong digit would go unnoticed",
        )
    return text

"""Amounts of money as people write them, and as the chain counts them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext

from r1net.errors import UsageError

DECIMALS = 18
R1 = 10**DECIMALS
"""One whole R1, in wei."""
_MOST = 2**256
_LONGEST = 100
_DIGITS = 6
_HINT = 'write "100 R1", or wei as a whole number'


def wei_of(amount: object, what: str = "the amount") -> int:
    """The wei of "100 R1", "0.5 R1", "7 wei", or a whole number of wei. Raises UsageError."""
    if isinstance(amount, str):
        wei = _parsed(amount)
        if wei is None:
            raise UsageError(f"{what}: {amount[:_LONGEST]!r} is no amount", hint=_HINT)
    elif isinstance(amount, int) and not isinstance(amount, bool):
        wei = amount
    else:
        like = f": did you mean {amount:g} R1?" if isinstance(amount, float) and amount > 0 else ""
        raise UsageError(f"{what}: {str(amount)[:_LONGEST]} is no whole number of wei{like}", hint=_HINT)
    if not 0 <= wei < _MOST:
        raise UsageError(f"{what} can't be {'negative' if wei < 0 else 'so large'}", hint=_HINT)
    return wei


def _parsed(text: str) -> int | None:
    number, _, unit = text[:_LONGEST].strip().partition(" ")
    if unit.strip() not in {"R1", "wei"}:
        return None
    with localcontext(prec=2 * _LONGEST):  # the usual 28 digits would round large amounts
        try:
            value = Decimal(number)
        except InvalidOperation:
            return None
        if not value.is_finite() or abs(value.adjusted()) > _LONGEST:
            return None
        wei = value.scaleb(DECIMALS if unit.strip() == "R1" else 0)
        return int(wei) if wei == wei.to_integral_value() else None


def tokens(wei: int | str, decimals: int = DECIMALS) -> str:
    """Wei as a decimal number of tokens."""
    sign = "-" if int(wei) < 0 else ""
    whole, part = divmod(abs(int(wei)), 10**decimals)
    digits = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{sign}{whole:,}.{digits}" if digits else f"{sign}{whole:,}"


def amount_of(wei: int, r1: bool = True) -> str:
    """An amount for people: of R1 in whole tokens; of others, whose decimals nobody here knows, in their smallest unit;
    and so what is too small to be read as a fraction."""
    if not r1:
        return f"{wei:,} of its token's smallest unit"
    return f"{tokens(wei)} R1" if wei % R1 == 0 or wei >= R1 // 10**6 else f"{wei:,} wei"


def about(wei: int, r1: bool = True) -> str:
    """An amount to six digits, without those that nobody reads."""
    unit = int("1" + "0" * max(0, len(str(wei)) - _DIGITS))
    return amount_of(wei // unit * unit, r1)

"""How a submission is refused for what it holds."""

from __future__ import annotations

from r1coordinator.verification.codes import Content, Own
from r1net.errors import Refused


def refusal(code: Content | Own, detail: str, position: int | None = None) -> Refused:
    """A refusal of content, with the trace it is about."""
    where = "" if position is None else f"trace {position}: "
    return Refused(
        code, where + detail, status=422, hint="the bundle was refused as a whole; its groups are free again"
    )

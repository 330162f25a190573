"""What an audit finds."""

from __future__ import annotations

from dataclasses import dataclass

from r1net.audit.shelf import KeptLine


@dataclass(frozen=True)
class AuditResult:
    """One thing that was checked: what follows from what is shown, against what is said or stands on chain."""

    check: str
    holds: bool
    recomputed: str
    on_chain: str


@dataclass(frozen=True)
class LineAudit:
    """All that was checked of one line, and what was read for that."""

    line: int
    job_id: str
    findings: tuple[AuditResult, ...]
    read: KeptLine

    @property
    def faults(self) -> tuple[str, ...]:
        """What doesn't hold."""
        return tuple(found.check for found in self.findings if not found.holds)


def compare(check: str, recomputed: str, said: str) -> AuditResult:
    """Whether two figures are the same."""
    return AuditResult(check, recomputed.lower() == said.lower(), recomputed, said)


def fault(check: str, words: str) -> AuditResult:
    """Something that doesn't hold, in words."""
    return AuditResult(check, False, words, "")

"""What a doctor found: of a submitter's machine or of a host's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from r1net.errors import PreflightError

Verdict = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Finding:
    """One check's result. `fix` says what to do unless all is well."""

    check: str
    verdict: Verdict
    detail: str
    fix: str | None = None


@dataclass(frozen=True)
class Report:
    """All findings."""

    findings: list[Finding]

    @property
    def exit_code(self) -> int:
        """0, or the preflight code when a check failed."""
        return PreflightError.exit_code if any(f.verdict == "failure" for f in self.findings) else 0

"""Recompute a settlement from its public report, and hold every figure against the chain and the signed work.

Nothing here trusts the coordinator: a line of the report is taken only when the chain vouches for its digest, its
prices only from the specification that the escrow names, its work only with its workers' signatures. What isn't shown
doesn't hold. Each line stands for itself. `r1node audit`, `r1node watch` and jurors use these functions.
"""

from r1net.audit.epoch import audit_epoch, audit_line, audit_lines
from r1net.audit.findings import AuditResult, LineAudit
from r1net.audit.shelf import KeptLine, Shelf, open_shelf
from r1net.audit.sources import Source, Sources

__all__ = [
    "AuditResult",
    "KeptLine",
    "LineAudit",
    "Shelf",
    "Source",
    "Sources",
    "audit_epoch",
    "audit_line",
    "audit_lines",
    "open_shelf",
]

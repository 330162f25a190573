"""Recompute a settlement from its public report, and hold every figure against the chain and the signed work.

Nothing here trusts the coordinator: the report is taken only when the chain vouches for its digest, its prices only
from the specification that the escrow names, its work only with its workers' signatures. What isn't shown doesn't hold.
`r1node audit`, `r1node watch` and jurors use this one function.
"""

from r1net.audit.epoch import audit_epoch
from r1net.audit.findings import AuditResult

__all__ = ["AuditResult", "audit_epoch"]

"""`r1node audit`: recompute a settlement from its public report and hold it against the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.audit import AuditResult, audit_epoch
from r1node.cli.context import Context


@dataclass(frozen=True)
class Audit:
    """Every finding of one epoch's audit; exit code 1 when one of them is bad."""

    epoch: int
    findings: list[AuditResult]

    @property
    def exit_code(self) -> int:
        """0 when everything holds."""
        return 0 if all(finding.holds for finding in self.findings) else 1


def audit(ctx: typer.Context, epoch: Annotated[int, typer.Argument(help="number of the epoch", min=1)]) -> Audit:
    """Recompute an epoch's roots and amounts, and compare them with the chain."""
    context: Context = ctx.obj
    return Audit(epoch, audit_epoch(epoch, context.coordinator(), context.chain()))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(audit)

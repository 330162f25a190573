"""`r1node audit`: recompute a settlement from its public report and hold it against the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from r1net.audit import LineAudit, audit_epoch
from r1node.cli.context import Context


@dataclass(frozen=True)
class Finding:
    """One check of one line."""

    line: int
    job: str
    check: str
    holds: bool
    recomputed: str
    on_chain: str


@dataclass(frozen=True)
class Audit:
    """Every finding of one epoch's audit, line by line; exit code 1 when one of them is bad."""

    epoch: int
    findings: list[Finding]

    @property
    def exit_code(self) -> int:
        """0 when everything holds."""
        return 0 if all(finding.holds for finding in self.findings) else 1


def audit(ctx: typer.Context, epoch: Annotated[int, typer.Argument(help="number of the epoch", min=1)]) -> Audit:
    """Recompute the roots and amounts of an epoch's lines, and compare them with the chain."""
    context: Context = ctx.obj
    lines = audit_epoch(epoch, context.sources(), context.chain())
    return Audit(epoch, [row for line in lines for row in _rows(line)])


def _rows(line: LineAudit) -> list[Finding]:
    return [
        Finding(line.line, line.job_id, one.check, one.holds, one.recomputed, one.on_chain) for one in line.findings
    ]


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(audit)

"""`r1node status`."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from r1net.chain.keystore import keystore_address
from r1net.protocol.reach import Reach
from r1net.protocol.views import NodeView
from r1node.cli.context import Context
from r1node.locks import running


@dataclass(frozen=True)
class WorkerStatus:
    """One worker of this host. `process`: whether it runs on this machine; the rest is the coordinator's view.
    `standing` are points for broken leases (0 is best); `reach`: by how many owners' workers it was reached;
    `reason` says what for, and why there is no work now."""

    worker: str
    address: str
    process: bool
    state: str
    doing: str | None
    accepted_tokens: int
    rejected: int
    standing: float
    reach: str
    reason: str | None


def status(ctx: typer.Context) -> list[WorkerStatus]:
    """Every worker of this host: whether it runs, what it does, what was accepted."""
    context: Context = ctx.obj
    seen = {node.worker: node for node in context.coordinator().get_many("/v1/nodes", NodeView)}
    rows = []
    for folder in sorted((context.settings.home / "workers").glob("*")):
        address = keystore_address(folder / "key.json")
        node = seen.get(address)
        rows.append(
            WorkerStatus(
                worker=folder.name,
                address=address,
                process=running(folder),
                state=node.state if node else "unknown to the coordinator",
                doing=node.doing if node else None,
                accepted_tokens=node.accepted_tokens if node else 0,
                rejected=node.rejected if node else 0,
                standing=node.standing if node else 0.0,
                reach=_reach(node.reach) if node else "unknown",
                reason=_reason(node) if node else None,
            )
        )
    return rows


def _reach(reach: Reach) -> str:
    return f"{reach.state} by {reach.peers}" if reach.state == "reachable" else reach.state


def _reason(node: NodeView) -> str | None:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(node.reasons.items()))
    return "; ".join(part for part in (node.refused, counts) if part) or None


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(status)

"""What workers say of dialling each other."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from r1coordinator.api.wire import Node, Use, read_message
from r1coordinator.scheduling.dials import answered, check_reach
from r1net.errors import Refused
from r1net.protocol.reach import DialReport

router = APIRouter(prefix="/v1", tags=["nodes"])


@router.post("/dials/{order_id}")
def post_dial(order_id: str, services: Use, node: Node) -> dict[str, Any]:
    """Whether the worker that an order names was reached, with its proof."""
    report = read_message(DialReport, node.body)
    if report.id != order_id:
        raise Refused("invalid_message", "path and body name different orders", status=422)
    now = services.clock()
    with services.db.write() as s:
        answered(s, services.domain, node.worker, report)
        check_reach(s, services.ctx, now)
    services.bell.ring()
    return {}

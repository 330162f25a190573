"""Whether a vote is a lie: its work is repeated, and clearly the other way.

Honest verifiers differ where a figure lies near its limit: their controls are of their own machines. So a vote is held
against nobody unless the figure that speaks against it lies twice beyond its limit, or less than half way to it.
"""

from __future__ import annotations

from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.job import Precision
from r1net.protocol.work import Vote
from r1node.verification.judge import WorkVerdict
from r1node.verification.recompute import FLOORS, limit

CLEARLY = 2.0
"""So many times a limit, or less than its inverse."""


def about_traces(vote: Vote, own: WorkVerdict) -> Finding:
    """The own finding, with the words against the voter for faults."""
    words = _words(vote, own.severity, own.finding.faults)
    return own.finding.model_copy(update={"faults": words})


def about_gradient(vote: Vote, own: GradientFinding, precision: Precision) -> GradientFinding:
    """The same about a trainer's statement."""
    severity = own.deviation / limit(own.usual, FLOORS[precision])
    words = _words(vote, severity if own.version_holds else float("inf"), own.faults)
    return own.model_copy(update={"faults": words})


def _words(vote: Vote, severity: float, faults: tuple[str, ...]) -> tuple[str, ...]:
    if vote.holds and severity > CLEARLY:
        return (f"found nothing where there is: {'; '.join(faults)}",)
    if not vote.holds and severity < 1 / CLEARLY:
        return (f'says "{"; ".join(vote.finding.faults)}" of work of which every figure is far from its limit',)
    return ()

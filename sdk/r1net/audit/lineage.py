"""Whether a line goes on where its job had come to, and settles what no line before it did. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from r1net.audit.findings import AuditResult, compare, fault
from r1net.chain.models import JobSettlement
from r1net.protocol.settlement import JobEpoch

_CHECK = "parent policy"


@dataclass(frozen=True)
class Ancestor:
    """An earlier line of the same job. `stands` asks the chain, `shown` is what the coordinator shows of it, if the
    chain vouches for that: both cost a request."""

    epoch: int
    line: JobSettlement
    stands: Callable[[], bool]
    shown: Callable[[], JobEpoch | None]


def check_lineage(job: JobEpoch, first_policy: str, ancestors: Sequence[Ancestor]) -> Iterator[AuditResult]:
    """`ancestors` newest first.

    The parent is the new policy of the newest ancestor that stands. Only a line that was rejected and proposed anew, or
    one behind such a line or behind one that can't be paid, may go on from elsewhere: from where its own rounds begin.
    """
    again = [str(one.epoch) for one in ancestors if one.line.report_digest == job.digest() and one.stands()]
    yield AuditResult("settled once", not again, ", ".join(again) or "nowhere else", "")
    standing = (one for one in ancestors if one.stands())
    yield from _gone_on(job, first_policy, standing)


def _gone_on(job: JobEpoch, first_policy: str, standing: Iterator[Ancestor]) -> Iterator[AuditResult]:
    for number, one in enumerate(standing):
        if number == 0 and one.line.new_policy == job.parent_policy:
            yield compare(_CHECK, one.line.new_policy, job.parent_policy)
            return
        before = one.shown()
        if before is None:
            yield fault(_CHECK, f"the line of epoch {one.epoch}, which came before, is not shown")
            return
        if before.rounds[1] <= job.rounds[0]:
            yield _joined(before, job)
            return
        if before.rounds[0] < job.rounds[1]:
            yield fault(_CHECK, f"epoch {one.epoch} has settled rounds {before.rounds} of its {job.rounds}")
            return
    if job.rounds[0] == 0:
        yield compare(_CHECK, first_policy, job.parent_policy)


def _joined(before: JobEpoch, job: JobEpoch) -> AuditResult:
    """Two lines of a job, one after the other; with rounds between them that are not settled there is no saying."""
    if before.rounds[1] < job.rounds[0]:
        return AuditResult(_CHECK, True, f"rounds {before.rounds[1]} to {job.rounds[0]} are not settled", "")
    return compare(_CHECK, before.new_policy, job.parent_policy)

"""Who must be paid what: from the contributions, at the prices of the specification. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from r1net.audit.findings import AuditResult, compare
from r1net.protocol.job import JobSpec
from r1net.protocol.pricing import Work, asked
from r1net.protocol.settlement import JobEpoch


@dataclass(frozen=True)
class Pay:
    """The least and the most that an account may be paid: the two differ by rounding where a budget is short."""

    least: int = 0
    most: int = 0

    def __add__(self, other: Pay) -> Pay:
        return Pay(self.least + other.least, self.most + other.most)


def check_pay(job: JobEpoch, spec: JobSpec) -> Iterator[AuditResult]:
    """Every account is paid what its contributions are worth, and nobody else is."""
    yield compare("token", spec.payment_token, job.token)
    total = sum(asked(Work(row.kind, row.tokens), spec.prices) for row in job.contributions)
    yield AuditResult("asks", job.amount <= total, str(total), str(job.amount))
    due = _pay_of(job, spec, total)
    paid: dict[str, int] = defaultdict(int)
    for row in job.rewards:
        paid[row.account.lower()] += row.amount
    for account in sorted(due.keys() | paid.keys()):
        pay, given = due[account], paid[account]
        holds = pay.least <= given <= pay.most
        if not holds or pay.most:
            yield AuditResult(f"pay of {account[:10]}…", holds, f"{pay.least} to {pay.most}", str(given))


def _pay_of(job: JobEpoch, spec: JobSpec, total: int) -> dict[str, Pay]:
    """Each account's pay. Where the job pays less than its prices ask, everyone is paid in proportion, rounded down:
    what there was to share is then known but for the rounding of each contribution."""
    found: dict[str, Pay] = defaultdict(Pay)
    short = job.amount < total
    for row in job.contributions:
        wanted = asked(Work(row.kind, row.tokens), spec.prices)
        least = wanted * job.amount // total if short else wanted
        most = wanted * min(total, job.amount + len(job.contributions)) // total if short else wanted
        found[row.account.lower()] += Pay(least, most)
    return found

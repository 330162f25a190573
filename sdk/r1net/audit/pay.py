"""Who must be paid what: from the contributions, at the prices of the specification. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from r1net.audit.findings import AuditResult, compare
from r1net.protocol.job import JobSpec
from r1net.protocol.pricing import Work, asked
from r1net.protocol.settlement import EpochReport, JobEpoch

Account = tuple[str, str]
"""Token and owner."""


@dataclass(frozen=True)
class Pay:
    """The least and the most that an account may be paid: the two differ by rounding where a budget is short."""

    least: int = 0
    most: int = 0

    def __add__(self, other: Pay) -> Pay:
        return Pay(self.least + other.least, self.most + other.most)


def check_pay(report: EpochReport, previous: EpochReport | None, specs: Mapping[str, JobSpec]) -> Iterator[AuditResult]:
    """Every account's reward rises by what its contributions are worth, and nobody else's does."""
    due: dict[Account, Pay] = defaultdict(Pay)
    for job in report.jobs:
        spec = specs.get(job.job_id)
        if spec is None:
            continue
        yield compare(f"job {job.job_id[:10]}… token", spec.payment_token, job.token)
        total = sum(asked(Work(row.kind, row.tokens), spec.prices) for row in job.contributions)
        yield AuditResult(f"job {job.job_id[:10]}… asks", job.amount <= total, str(total), str(job.amount))
        for account, pay in _pay_of(job, spec, total).items():
            due[account] += pay
    before = {(row.token, row.account): row.cumulative for row in previous.rewards} if previous else {}
    after = {(row.token, row.account): row.cumulative for row in report.rewards}
    for account in sorted(due.keys() | after.keys()):
        rise, pay = after.get(account, 0) - before.get(account, 0), due[account]
        holds = pay.least <= rise <= pay.most
        if not holds or pay.most:
            yield AuditResult(f"pay of {account[1][:10]}…", holds, f"{pay.least} to {pay.most}", str(rise))


def _pay_of(job: JobEpoch, spec: JobSpec, total: int) -> dict[Account, Pay]:
    """Each account's pay. Where the job pays less than its prices ask, everyone is paid in proportion, rounded down:
    what there was to share is then known but for the rounding of each contribution."""
    found: dict[Account, Pay] = defaultdict(Pay)
    short = job.amount < total
    for row in job.contributions:
        wanted = asked(Work(row.kind, row.tokens), spec.prices)
        least = wanted * job.amount // total if short else wanted
        most = wanted * min(total, job.amount + len(job.contributions)) // total if short else wanted
        found[job.token, row.account] += Pay(least, most)
    return found

"""A host's earnings as the coordinator tells them, each held against what the chain says of its line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from r1net.chain import Chain
from r1net.protocol.job import JobView
from r1net.protocol.settlement import ClaimProof, DueView
from r1net.protocol.views import Earning
from r1net.transport import Transport
from r1node.claims import LineState, look
from r1node.earnings import Row, RowState, Sums, grouped

_ROWS = 1000
_PROOFS = 100


@dataclass(frozen=True)
class Line:
    """Pay of one job that isn't final: from when on it may be (Unix seconds), where that is known, and what it waits
    for."""

    job: str
    token: str
    amount: int
    final_from: int | None
    waits_for: str


class Books:
    """All rows of an account, side by side: the coordinator's (`earnings`), and what has become of each (`rows`)."""

    def __init__(
        self,
        chain: Chain,
        earnings: list[Earning],
        jobs: dict[str, JobView],
        dues: dict[tuple[str, int], DueView],
        proofs: list[tuple[ClaimProof, LineState]],
    ) -> None:
        self._chain, self._dues = chain, dues
        self.jobs, self.earnings, self.proofs = jobs, earnings, proofs
        self._states = {(proof.job_id, proof.epoch): state for proof, state in proofs}
        self.rows = [self._row(earning) for earning in earnings]

    def sums_by_token(self) -> dict[str, Sums]:
        """What was earned in each token."""
        return grouped(self.rows, lambda row: row.token)

    def pending(self) -> Iterator[Line]:
        """What isn't final, each job's part of an epoch by itself."""
        amounts: dict[tuple[str, int | None], int] = defaultdict(int)
        for row, earning in zip(self.rows, self.earnings, strict=True):
            if row.state == "pending" and row.amount:
                amounts[row.job, earning.epoch] += row.amount
        for (job, epoch), amount in amounts.items():
            at, why = self._finality(job, epoch)
            yield Line(job, self.jobs[job].spec.payment_token, amount, at, why)

    def _row(self, earning: Earning) -> Row:
        token = self.jobs[earning.job_id].spec.payment_token
        return Row(earning.job_id, token, self._day(earning), earning.amount, self._state(earning))

    def _day(self, earning: Earning) -> str | None:
        due = None if earning.epoch is None else self._dues.get((earning.job_id, earning.epoch))
        return None if due is None else f"{datetime.fromtimestamp(due.closed_at, UTC):%Y-%m-%d}"

    def _state(self, earning: Earning) -> RowState:
        if earning.error is not None and earning.amount == 0:
            return "lost"
        if earning.epoch is None:
            return "pending"
        return self._states.get((earning.job_id, earning.epoch), "pending")

    def _finality(self, job: str, epoch: int | None) -> tuple[int | None, str]:
        """From when on a job's part of an epoch may be final, and what it waits for."""
        state = None if epoch is None else self._chain.settlement.epoch(epoch)
        if epoch is None or state is None or not state.known:
            return None, self.jobs[job].settlement or "the job's next settlement"
        _, line = self._chain.settlement.locate(epoch, job)
        if state.disputed >> line & 1:
            return None, "the end of a dispute over the line: `r1node disputes`"
        if state.finalisable_at <= self._chain.settlement.clock():
            return None, f"epoch {epoch}, whose challenge window is over, to be paid"
        return self._chain.moment(state.finalisable_at), f"the end of the challenge window of epoch {epoch}"


def open_books(chain: Chain, source: Transport, account: str) -> Books:
    """Everything that there is to know of an account's earnings, in all tokens."""
    found = {one.lease_id: one for one in source.walk(f"/v1/accounts/{account}/earnings", Earning, _ROWS)}
    ids = {earning.job_id for earning in found.values()}
    jobs = {job: source.get(f"/v1/jobs/{job}", JobView) for job in sorted(ids)}
    dues = [due for job in jobs for due in source.get_many(f"/v1/jobs/{job}/dues", DueView)]
    proofs = list(look(chain, account, source.walk(f"/v1/accounts/{account}/claims", ClaimProof, _PROOFS)))
    by_line = {(due.job_id, due.epoch): due for due in dues if due.epoch is not None}
    return Books(chain, list(found.values()), jobs, by_line, proofs)

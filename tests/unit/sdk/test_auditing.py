"""Reports by which a settler robs, held against what is derived: every one must be found, and honest ones hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.settlement.report import reward_tree, settlements
from r1net.audit.findings import AuditResult
from r1net.audit.pay import check_pay
from r1net.audit.roots import check_roots, check_sums
from r1net.audit.work import Shown, check_work
from r1net.chain import JobSettlement
from r1net.chain.models import EpochContent
from r1net.protocol.job import JobSpec, Prices
from r1net.protocol.pricing import Work, price
from r1net.protocol.settlement import Contribution, CumulativeReward, EpochReport, JobEpoch
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import Trace, TraceBundle, trace_tree
from tests.unit.coordinator.jobs import CHAIN_ID, REGISTRY, TOKEN, job_spec

WORKERS = [Account.from_key(bytes([n]) * 32) for n in (1, 2)]
OWNERS = ["0x" + f"{n:040x}" for n in (0xA1, 0xA2)]
THIEF = "0x" + f"{0xBAD:040x}"
JOB, OTHER = "0x" + "77" * 32, "0x" + "78" * 32
DOMAIN = Domain(CHAIN_ID, REGISTRY)
SPEC: JobSpec = job_spec(prices=Prices(rollout_token=10, trained_token=5, verified_token=2))


def bundle(number: int, tokens: int) -> Shown:
    """What a worker signed."""
    trace = Trace(
        job_id=JOB,
        split="train",
        round=0,
        group=number,
        index=0,
        policy="0x" + "03" * 32,
        worker=WORKERS[number].address,
        prompt_ids=(1,),
        completion_ids=(7,) * tokens,
        logprobs=(-0.5,) * tokens,
        reward_parts={"correct": 1.0},
        reward=1.0,
        finish_reason="length",
        seed=number,
    )
    made = TraceBundle(lease_id=f"lease {number}", traces=(trace,))
    values = submission_values(made.lease_id, made.tree().root, 1)
    return Shown(made, DOMAIN.sign(WORKERS[number], "Submission", values))


SHOWN = {one.bundle.digest(): one for one in (bundle(0, 30), bundle(1, 50))}


def contributions() -> tuple[Contribution, ...]:
    return tuple(
        Contribution(
            job_id=JOB,
            kind="rollout",
            account=OWNERS[number],
            worker=WORKERS[number].address,
            round=0,
            lease_id=f"lease {number}",
            tokens=len(one.bundle.traces[0].completion_ids),
            evidence=digest,
        )
        for number, (digest, one) in enumerate(SHOWN.items())
    )


def part(amount: int = 800, **changes: Any) -> JobEpoch:
    digests = tuple(one.bundle.traces[0].digest() for one in SHOWN.values())
    honest = JobEpoch(
        job_id=JOB,
        token=TOKEN,
        amount=amount,
        rounds=(0, 1),
        parent_policy="0x" + "03" * 32,
        new_policy="0x" + "04" * 32,
        traces_root=trace_tree(list(digests)).root,
        trace_digests=digests,
        contributions=contributions(),
    )
    return honest.model_copy(update=changes)


def report(
    rows: dict[str, int], previous: EpochReport | None = None, job: JobEpoch | None = None, epoch: int = 1
) -> EpochReport:
    rewards = tuple(
        CumulativeReward(token=TOKEN, account=account, cumulative=amount) for account, amount in sorted(rows.items())
    )
    root = reward_tree(rewards).root
    below = previous.digest() if previous else None
    return EpochReport(
        epoch=epoch, chain_id=1, jobs=(job or part(),), rewards=rewards, rewards_root=root, previous_report=below
    )


def content(of: EpochReport, extra: Sequence[JobSettlement] = ()) -> EpochContent:
    return EpochContent(of.epoch, of.rewards_root, of.digest(), (*settlements(of), *extra))


def faults(
    of: EpochReport,
    previous: EpochReport | None = None,
    anchored: str | None = None,
    on_chain: EpochContent | None = None,
) -> list[str]:
    owners = {worker.address: owner for worker, owner in zip(WORKERS, OWNERS, strict=True)}
    found: list[AuditResult] = [
        *check_roots(of, on_chain or content(of)),
        *check_sums(of, previous, anchored),
        *check_pay(of, previous, {JOB: SPEC}),
        *(result for job in of.jobs for result in check_work(job, SHOWN, owners, DOMAIN)),
    ]
    return [result.check for result in found if not result.holds]


HONEST = {OWNERS[0]: 300, OWNERS[1]: 500}


def test_an_honest_report_holds() -> None:
    first = report(HONEST)
    assert faults(first) == []
    second = report({OWNERS[0]: 600, OWNERS[1]: 1000}, first, epoch=2)
    assert faults(second, first, first.digest()) == []


def test_the_settler_pays_itself() -> None:
    assert "pay of 0x00000000…" in faults(report({THIEF: 800}))
    assert faults(report({OWNERS[0]: 0, OWNERS[1]: 500, THIEF: 300}))
    assert faults(report({OWNERS[0]: 500, OWNERS[1]: 300}))


def test_the_settler_gives_its_own_name_to_others_work() -> None:
    stolen = tuple(row.model_copy(update={"account": THIEF}) for row in contributions())
    assert (
        len([check for check in faults(report({THIEF: 800}, job=part(contributions=stolen))) if "account of" in check])
        == 2
    )


@pytest.mark.parametrize("kind", ["rollout", "verification"])
def test_work_that_nobody_did(kind: str) -> None:
    made_up = contributions()[0].model_copy(
        update={"lease_id": "x", "kind": kind, "account": THIEF, "evidence": "0x" + "99" * 32, "tokens": 100}
    )
    asked = 800 + 100 * (10 if kind == "rollout" else 2)
    job = part(asked, contributions=(*contributions(), made_up))
    assert faults(report({**HONEST, THIEF: asked - 800}, job=job))


def test_more_tokens_than_were_signed_for() -> None:
    more = (contributions()[0].model_copy(update={"tokens": 31}), contributions()[1])
    assert faults(report({OWNERS[0]: 310, OWNERS[1]: 500}, job=part(810, contributions=more)))


def test_the_same_lease_twice() -> None:
    twice = part(1100, contributions=(*contributions(), contributions()[0]))
    assert any("each once" in check for check in faults(report({OWNERS[0]: 600, OWNERS[1]: 500}, job=twice)))


def test_a_signature_for_something_else() -> None:
    digest = next(iter(SHOWN))
    other = {**SHOWN, digest: Shown(SHOWN[digest].bundle, bundle(1, 50).signature)}
    owners = {worker.address: owner for worker, owner in zip(WORKERS, OWNERS, strict=True)}
    assert [r.check for r in check_work(part(), other, owners, DOMAIN) if not r.holds] == [
        "job 0x77777777… rollout lease 0"
    ]


def test_history_is_erased_or_forged() -> None:
    first = report(HONEST)
    erased = report({THIEF: 800}, None, epoch=2)
    assert "previous report" in faults(erased, first, first.digest())
    forged = report({THIEF: 800}, epoch=1)
    on_forged = report({THIEF: 800, **HONEST}, forged, epoch=2)
    assert {"report below", "previous report"} <= set(faults(on_forged, forged, first.digest()))


def test_a_job_is_drained_that_the_report_does_not_name() -> None:
    hidden = JobSettlement(OTHER, 10**6, "0x" + "05" * 32, 1, "0x" + "03" * 32, "0x" + "03" * 32)
    honest = report(HONEST)
    assert faults(honest, on_chain=content(honest, [hidden])) == ["jobs"]


def test_more_than_the_prices_ask() -> None:
    assert "job 0x77777777… asks" in faults(report({OWNERS[0]: 301, OWNERS[1]: 500}, job=part(801)))


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=2), st.integers(0, 20_000))
def test_a_short_budget_is_shared_as_the_settler_shares_it(tokens: list[int], available: int) -> None:
    """Whatever there was to share: the honest pay lies within the bounds, and a wei more for a thief doesn't."""
    rows = tuple(row.model_copy(update={"tokens": n}) for row, n in zip(contributions(), tokens, strict=True))
    pays = price([Work("rollout", n) for n in tokens], SPEC.prices, available)
    job = part(sum(pays), contributions=rows)
    honest = report(dict(zip(OWNERS, pays, strict=True)), job=job)
    assert [r.check for r in check_pay(honest, None, {JOB: SPEC}) if not r.holds] == []
    robbed = report({**dict(zip(OWNERS, pays, strict=True)), THIEF: 1}, job=job)
    assert [r.check for r in check_pay(robbed, None, {JOB: SPEC}) if not r.holds]

"""Lines by which a settler robs, held against what is derived: every one must be found, and honest ones hold."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.settlement.report import settlement_of
from r1net.audit.findings import AuditResult
from r1net.audit.line import check_line
from r1net.audit.lineage import Ancestor, check_lineage
from r1net.audit.pay import check_pay
from r1net.audit.signed import Shown
from r1net.audit.trained import Stated, training_fault
from r1net.audit.work import check_work
from r1net.chain import JobSettlement
from r1net.protocol.gradients import BUCKETS, GradientStatement, pack
from r1net.protocol.job import JobSpec, PolicyVersion, Prices
from r1net.protocol.pricing import Work, price
from r1net.protocol.settlement import Contribution, JobEpoch, Reward, rewards_of, rewards_root
from r1net.protocol.signing import Domain, submission_values
from r1net.protocol.trace import Trace, TraceBundle, trace_tree
from r1net.protocol.work import TrainerSlot, TrainTask
from tests.unit.coordinator.jobs import CHAIN_ID, REGISTRY, TOKEN, job_spec

WORKERS = [Account.from_key(bytes([n]) * 32) for n in (1, 2)]
OWNERS = ["0x" + f"{n:040x}" for n in (0xA1, 0xA2)]
THIEF = "0x" + f"{0xBAD:040x}"
JOB = "0x" + "77" * 32
FIRST, NEXT, LATER = ("0x" + f"{n:02x}" * 32 for n in (3, 4, 5))
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


def part(pay: dict[str, int], **changes: Any) -> JobEpoch:
    digests = tuple(one.bundle.traces[0].digest() for one in SHOWN.values())
    rows = rewards_of(pay.items())
    line = JobEpoch(
        job_id=JOB,
        token=TOKEN,
        amount=sum(pay.values()),
        rounds=(0, 1),
        parent_policy=FIRST,
        new_policy=NEXT,
        traces_root=trace_tree(list(digests)).root,
        trace_digests=digests,
        contributions=contributions(),
        rewards=rows,
        rewards_root=rewards_root(rows),
    )
    return line.model_copy(update=changes)


def faults(line: JobEpoch, on_chain: JobSettlement | None = None) -> list[str]:
    owners = {worker.address: owner for worker, owner in zip(WORKERS, OWNERS, strict=True)}
    found: list[AuditResult] = [
        *check_line(line, on_chain or settlement_of(line)),
        *check_pay(line, SPEC),
        *check_work(line, SHOWN, owners, DOMAIN),
    ]
    return [result.check for result in found if not result.holds]


HONEST = {OWNERS[0]: 300, OWNERS[1]: 500}


def test_an_honest_line_holds() -> None:
    assert faults(part(HONEST)) == []


def test_the_settler_pays_itself() -> None:
    assert "pay of 0x00000000…" in faults(part({THIEF: 800}))
    assert faults(part({OWNERS[1]: 500, THIEF: 300}))
    assert faults(part({OWNERS[0]: 500, OWNERS[1]: 300}))


def test_the_settler_gives_its_own_name_to_others_work() -> None:
    stolen = tuple(row.model_copy(update={"account": THIEF}) for row in contributions())
    line = part({THIEF: 800}, contributions=stolen)
    assert len([check for check in faults(line) if "account of" in check]) == 2


@pytest.mark.parametrize("wei", [1, 799, 801])
def test_a_line_promises_what_it_does_not_take(wei: int) -> None:
    """Everybody's pay for a line of one wei, and the bond for that: its pot would hold no more."""
    assert "sum of rewards" in faults(part(HONEST, amount=wei))


@pytest.mark.parametrize("field", ["rewards_root", "report_digest", "traces_root", "parent_policy", "new_policy"])
def test_the_chain_has_something_else(field: str) -> None:
    line = part(HONEST)
    assert faults(line, replace(settlement_of(line), **{field: "0x" + "99" * 32}))


def test_an_account_has_two_rewards_or_they_are_out_of_order() -> None:
    twice = (Reward(account=OWNERS[0], amount=200), Reward(account=OWNERS[0], amount=100))
    for rows in ((*twice, Reward(account=OWNERS[1], amount=500)), tuple(reversed(rewards_of(HONEST.items())))):
        line = part(HONEST, rewards=rows, rewards_root=rewards_root(rows))
        assert faults(line) == ["one reward for each account, in order"]


@pytest.mark.parametrize("kind", ["rollout", "verification"])
def test_work_that_nobody_did(kind: str) -> None:
    made_up = contributions()[0].model_copy(
        update={"lease_id": "x", "kind": kind, "account": THIEF, "evidence": "0x" + "99" * 32, "tokens": 100}
    )
    asked = 800 + 100 * (10 if kind == "rollout" else 2)
    assert faults(part({**HONEST, THIEF: asked - 800}, contributions=(*contributions(), made_up)))


def test_more_tokens_than_were_signed_for() -> None:
    more = (contributions()[0].model_copy(update={"tokens": 31}), contributions()[1])
    assert faults(part({OWNERS[0]: 310, OWNERS[1]: 500}, contributions=more))


def test_the_same_lease_twice() -> None:
    twice = part({OWNERS[0]: 600, OWNERS[1]: 500}, contributions=(*contributions(), contributions()[0]))
    assert any("each once" in check for check in faults(twice))


def test_a_signature_for_something_else() -> None:
    digest = next(iter(SHOWN))
    other = {**SHOWN, digest: Shown(SHOWN[digest].bundle, bundle(1, 50).signature)}
    owners = {worker.address: owner for worker, owner in zip(WORKERS, OWNERS, strict=True)}
    assert [r.check for r in check_work(part(HONEST), other, owners, DOMAIN) if not r.holds] == [
        "job 0x77777777… rollout lease 0"
    ]


def test_more_than_the_prices_ask() -> None:
    assert "asks" in faults(part({OWNERS[0]: 301, OWNERS[1]: 500}))


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=2), st.integers(0, 20_000))
def test_a_short_budget_is_shared_as_the_settler_shares_it(tokens: list[int], available: int) -> None:
    """Whatever there was to share: the honest pay lies within the bounds, and a wei more for a thief doesn't."""
    rows = tuple(row.model_copy(update={"tokens": n}) for row, n in zip(contributions(), tokens, strict=True))
    pays = dict(zip(OWNERS, price([Work("rollout", n) for n in tokens], SPEC.prices, available), strict=True))
    assert [r.check for r in check_pay(part(pays, contributions=rows), SPEC) if not r.holds] == []
    robbed = part({**pays, THIEF: 1}, contributions=rows, amount=sum(pays.values()))
    assert [r.check for r in check_pay(robbed, SPEC) if not r.holds]


# where a line goes on from


def line(rounds: tuple[int, int], parent: str, new: str) -> JobEpoch:
    return part(HONEST, rounds=rounds, parent_policy=parent, new_policy=new)


def astray(job: JobEpoch, *earlier: JobEpoch, hidden: bool = False) -> list[str]:
    """The faults in a line's lineage; `earlier` in the order in which they were proposed."""
    ancestors = [
        Ancestor(epoch, settlement_of(one), lambda: True, lambda one=one: None if hidden else one)  # type: ignore[misc]
        for epoch, one in enumerate(earlier, 1)
    ]
    found = check_lineage(job, FIRST, ancestors[::-1])
    return [result.check for result in found if not result.holds]


ONE, TWO, THREE = line((0, 2), FIRST, NEXT), line((2, 2), NEXT, NEXT), line((2, 4), NEXT, LATER)


def test_a_job_goes_on_where_it_had_come_to() -> None:
    assert [astray(ONE), astray(TWO, ONE), astray(THREE, ONE, TWO)] == [[], [], []]
    for job, earlier in ((ONE, ()), (TWO, (ONE,)), (THREE, (ONE, TWO))):
        elsewhere = job.model_copy(update={"parent_policy": "0x" + "66" * 32})
        assert astray(elsewhere, *earlier) == ["parent policy"]


def test_a_line_that_was_rejected_may_come_behind_later_ones_of_its_job() -> None:
    """Rejected ones are no ancestors. Nobody was at fault, so neither is it, nor are those that came behind it."""
    assert astray(THREE, TWO) == []
    assert astray(ONE, THREE) == []
    assert astray(TWO, ONE, THREE) == []
    assert astray(line((2, 4), FIRST, LATER), ONE, line((4, 5), LATER, FIRST)) == [], "its parent is the newest"
    assert astray(line((2, 4), LATER, FIRST), ONE, line((4, 5), FIRST, NEXT)) == ["parent policy"]


def test_what_fell_is_no_ancestor() -> None:
    fell = Ancestor(1, settlement_of(ONE), lambda: False, lambda: ONE)
    assert [result.holds for result in check_lineage(ONE, FIRST, [fell])] == [True, True]


def test_nothing_is_settled_twice() -> None:
    assert astray(ONE, ONE, THREE)[0] == "settled once"
    assert astray(line((1, 3), FIRST, LATER), ONE) == ["parent policy"], "some of its rounds were"


def test_what_came_before_must_be_shown_when_a_line_goes_on_from_elsewhere() -> None:
    assert astray(ONE, THREE, hidden=True) == ["parent policy"]


TRAINER = WORKERS[1]
SLOT = TrainerSlot(worker=TRAINER.address, peer_id="p", maddrs=(), bundles=tuple(SHOWN), tokens=80)
TASK = TrainTask(
    round=0,
    attempt=1,
    version=PolicyVersion(number=0, policy=FIRST),
    slots=(SLOT,),
    tokens=80,
    sequences=2,
    reward_std=0.5,
)
SKETCH = pack(array("f", [0.0] * BUCKETS))
UNSIGNED = {digest: Shown(one.bundle, None) for digest, one in SHOWN.items()}


def stated(task: TrainTask = TASK, signer: Any = TRAINER, shown: Any = None, **changes: Any) -> Stated:
    """A trainer's statement about its slot, and what it trained on."""
    values: dict[str, Any] = {
        "job_id": JOB,
        "round": 0,
        "attempt": 1,
        "lease_id": "training",
        "worker": TRAINER.address,
        "task": task.digest(),
        "commitment": FIRST,
        "norm": 0.0,
        "seed": FIRST,
        "sketch": SKETCH,
        "total": SKETCH,
        "version": PolicyVersion(number=1, policy=NEXT, optimizer=LATER),
    }
    statement = GradientStatement(**(values | changes))
    said = submission_values(statement.lease_id, statement.root(), 1)
    return Stated(statement, task, SHOWN if shown is None else shown, DOMAIN.sign(signer, "Submission", said))


def trained(kind: str = "training", **changes: Any) -> Contribution:
    values: dict[str, Any] = {
        "job_id": JOB,
        "kind": kind,
        "account": OWNERS[1],
        "worker": TRAINER.address,
        "round": 0,
        "lease_id": "training",
        "tokens": 80,
        "evidence": stated().statement.digest(),
    }
    return Contribution(**(values | changes))


def test_honest_training_and_its_verification_hold() -> None:
    assert training_fault(trained(), stated(), DOMAIN) is None
    verifier = trained("verification", lease_id="other", worker=WORKERS[0].address)
    assert training_fault(verifier, stated(signer=WORKERS[0]), DOMAIN) is None, "what is planted nobody has signed"


def test_only_groups_that_count_are_paid() -> None:
    task = TASK.model_copy(update={"groups": (1,)})
    assert training_fault(trained(tokens=50), stated(task), DOMAIN) is None
    assert "its slot has 50" in (training_fault(trained(), stated(task), DOMAIN) or "")


@pytest.mark.parametrize(
    ("row", "there", "words"),
    [
        (trained(), None, "is not shown"),
        (trained(tokens=81), stated(), "81 tokens, and its slot has 80"),
        (trained(round=1), stated(), "another job or round"),
        (trained(job_id=FIRST), stated(), "another job or round"),
        (trained(lease_id="x"), stated(), "another lease or worker"),
        (trained(worker=WORKERS[0].address), stated(), "another lease or worker"),
        (trained(), stated(signer=WORKERS[0]), "signed by"),
        (trained(), stated(attempt=2), "not the one that its statement names"),
        (trained(), replace(stated(), task=TASK.model_copy(update={"tokens": 81})), "not the one that"),
        (trained(), stated(shown={}), "its slot has None"),
        (trained(), stated(shown=UNSIGNED), "its slot's bundle"),
    ],
)
def test_training_that_is_not_what_was_signed(row: Contribution, there: Stated | None, words: str) -> None:
    assert words in (training_fault(row, there, DOMAIN) or "")


def test_training_without_a_statement_holds_only_where_nothing_is_checked() -> None:
    row = trained(evidence=NEXT)
    job = part({OWNERS[0]: 300, OWNERS[1]: 500}).model_copy(update={"contributions": (*contributions(), row)})
    owners = {worker.address: owner for worker, owner in zip(WORKERS, OWNERS, strict=True)}
    faults = [found.check for found in check_work(job, SHOWN, owners, DOMAIN) if not found.holds]
    assert [check for check in faults if "training" in check]
    assert all(found.holds for found in check_work(job, SHOWN, owners, DOMAIN, stated=False))

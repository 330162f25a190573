"""Who trains, on what, and how an attempt ends: pure rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r1coordinator.scheduling.model import (
    Abandoned,
    Agreed,
    BundleState,
    Pending,
    Progress,
    SlotState,
    WorkerState,
)
from r1coordinator.scheduling.penalties import TRAIN_LIMIT
from r1coordinator.scheduling.training import able_trainers, build_slots, own_fault, pause_before_retry, verdict
from r1net.prices import Price
from r1net.protocol.job import PolicyVersion

JOB = "0x" + "01" * 32
A, B, C = ("0x" + letter * 40 for letter in "abc")
ONE, TWO = ("0x" + "1" * 64, None), ("0x" + "2" * 64, None)


def worker(address: str, last_seen: float = 100.0, **changes: object) -> WorkerState:
    values = {"capabilities": frozenset({"rollout", "train"}), "holds": {JOB: 1}, "busy": False} | changes
    return WorkerState(worker=address, peer_id=address, maddrs=(), last_seen=last_seen, **values)  # type: ignore[arg-type]


def job(barred: frozenset[str] = frozenset()) -> Progress:
    version = PolicyVersion(number=1, policy="0x" + "9" * 64)
    return Progress(job_id=JOB, phase="train", round=1, version=version, price=Price("0x0", 1, 1), barred=barred)


def chosen(*workers: WorkerState, now: float = 100.0, failed_at: float | None = None) -> list[str]:
    return [w.worker for w in able_trainers(workers, job(), now, 15.0, failed_at)]


def test_only_live_idle_trainers_in_good_standing_take_part() -> None:
    assert chosen(worker(B), worker(A)) == [A, B]
    assert chosen(worker(A), worker(B, last_seen=80.0)) == [A]
    assert chosen(worker(A), worker(B, busy=True)) == [A]
    assert chosen(worker(A), worker(B, holds={})) == [A, B]
    assert chosen(worker(A), worker(B, capabilities=frozenset({"rollout"}))) == [A]
    assert chosen(worker(A), worker(B, standing=TRAIN_LIMIT), worker(C, standing=TRAIN_LIMIT + 0.1)) == [A, B]
    assert [w.worker for w in able_trainers([worker(A)], job(barred=frozenset({A})), 100.0, 15.0)] == []


def test_after_a_failed_attempt_the_silent_get_a_moment_and_are_then_done_without() -> None:
    both = (worker(A, 100.0), worker(B, 88.0))
    assert chosen(*both, failed_at=87.0) == [A, B]
    assert chosen(*both, failed_at=90.0) == []
    assert chosen(*both, now=102.9, failed_at=90.0) == []
    assert chosen(worker(A, 102.0), worker(B, 88.0), now=103.1, failed_at=90.0) == [A]
    assert chosen(worker(A, 105.0), worker(B, 91.0), now=105.0, failed_at=90.0) == [A, B]


def test_failures_that_the_others_cause_are_nobodys_fault() -> None:
    assert own_fault("nan_gradient")
    assert not own_fault("averaging_broken")
    assert not own_fault(None)


@given(
    bundles=st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 10_000)), max_size=30),
    there=st.sets(st.sampled_from([A, B, C]), min_size=1),
)
def test_every_bundle_goes_to_one_slot_and_own_ones_stay(bundles: list[tuple[str, int]], there: set[str]) -> None:
    states = [BundleState(f"0x{n:064x}", address, tokens) for n, (address, tokens) in enumerate(bundles)]
    slots = build_slots([worker(address) for address in sorted(there)], states)
    assert [slot.worker for slot in slots] == sorted(there)
    assert sorted(name for slot in slots for name in slot.bundles) == sorted(state.sha256 for state in states)
    for slot in slots:
        own = {state.sha256 for state in states if state.worker == slot.worker}
        assert own <= set(slot.bundles)
    assert sum(slot.tokens for slot in slots) == sum(state.tokens for state in states)
    assert slots == build_slots([worker(address) for address in sorted(there)], states[::-1])


def test_others_bundles_even_the_tokens_out() -> None:
    work = [(A, 10), (C, 7), (C, 6), (C, 5)]
    states = [BundleState(f"0x{n:064x}", address, tokens) for n, (address, tokens) in enumerate(work)]
    slots = build_slots([worker(A), worker(B)], states)
    assert [slot.tokens for slot in slots] == [15, 13]


def judge(*slots: SlotState, now: float = 10.0) -> object:
    return verdict(slots, deadline=60.0, now=now)


def test_a_strict_majority_decides_even_over_a_lost_or_failed_slot() -> None:
    assert judge(SlotState(A, ONE)) == Agreed(*ONE, workers=(A,))
    assert judge(SlotState(A, ONE), SlotState(B, ONE), SlotState(C, TWO)) == Agreed(*ONE, workers=(A, B))
    assert judge(SlotState(A, ONE), SlotState(B, ONE), SlotState(C, lost=True)) == Agreed(*ONE, workers=(A, B))
    assert judge(SlotState(A, ONE), SlotState(B, ONE), SlotState(C, failure="nan_gradient")) == Agreed(
        *ONE, workers=(A, B)
    )


def test_half_is_no_majority() -> None:
    assert judge(SlotState(A, ONE), SlotState(B)) == Pending()
    assert isinstance(judge(SlotState(A, ONE), SlotState(B, TWO)), Abandoned)
    assert isinstance(judge(SlotState(A, ONE), SlotState(B, lost=True)), Abandoned)
    assert isinstance(judge(SlotState(A), SlotState(B, failure="averaging_broken")), Abandoned)


def test_the_same_policy_with_another_optimizer_is_another_version() -> None:
    assert isinstance(judge(SlotState(A, (ONE[0], None)), SlotState(B, (ONE[0], TWO[0]))), Abandoned)


def test_the_deadline_ends_an_attempt_without_majority() -> None:
    assert judge(SlotState(A), SlotState(B), now=60.0) == Pending()
    assert isinstance(judge(SlotState(A, ONE), SlotState(B), now=60.1), Abandoned)


def test_whoever_keeps_the_others_waiting_until_the_deadline_is_to_blame() -> None:
    """A commitment that is missing says who; where all are missing, it may be anybody's fault."""
    waiting = SlotState(B, committed=True)
    for slots, blamed in (
        ((SlotState(A), waiting), (A,)),
        ((SlotState(A), waiting, SlotState(C)), (A, C)),
        ((SlotState(A), SlotState(B)), ()),
        ((SlotState(A, committed=True), waiting), ()),
        ((SlotState(A),), (A,)),
        ((SlotState(A, committed=True),), (A,)),
    ):
        found = judge(*slots, now=60.1)
        assert isinstance(found, Abandoned)
        assert found.blamed == blamed


@given(
    reports=st.lists(st.sampled_from([ONE, TWO, None]), min_size=1, max_size=7),
    lost=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_a_verdict_is_agreed_exactly_with_a_majority(reports: list[tuple[str, None] | None], lost: list[bool]) -> None:
    slots = [
        SlotState(f"0x{n:040x}", report, lost=gone) for n, (report, gone) in enumerate(zip(reports, lost, strict=False))
    ]
    most = max((reports.count(pair) for pair in (ONE, TWO)), default=0)
    result = verdict(slots, 60.0, 1.0)
    assert isinstance(result, Agreed) == (2 * most > len(slots))
    assert type(result) is type(verdict(slots[::-1], 60.0, 1.0))


def test_blame_needs_evidence() -> None:
    """A code that others may have caused blames nobody; an end in silence, an own fault, or a failure alone does."""
    assert judge(SlotState(A, failure="swarm"), SlotState(B)) == Abandoned(f"{A} failed: swarm", ())
    assert judge(SlotState(A, failure="swarm"), SlotState(B, lost=True)) == Abandoned(f"{A} failed: swarm", (B,))
    assert judge(SlotState(A, failure="nan_gradient"), SlotState(B)) == Abandoned(f"{A} failed: nan_gradient", (A,))
    assert judge(SlotState(A, failure="swarm")) == Abandoned(f"{A} failed: swarm", (A,))
    assert judge(SlotState(A), SlotState(B), now=61.0) == Abandoned("no majority before the deadline", ())
    assert judge(SlotState(A), now=61.0) == Abandoned("no majority before the deadline", (A,))
    assert judge(SlotState(A, ONE), SlotState(B, TWO)) == Abandoned(
        "the trainers came to different versions and none has a majority", ()
    )


def test_an_owner_has_one_vote() -> None:
    many = [SlotState(f"0x{n:040x}", TWO, owner=C) for n in range(3)]
    honest = [SlotState(A, ONE, owner=A), SlotState(B, ONE, owner=B)]
    assert judge(*many, *honest) == Agreed(*ONE, workers=(A, B))
    assert isinstance(judge(*many, honest[0]), Abandoned)
    torn = [SlotState("0x1", ONE, owner=C), SlotState("0x2", TWO, owner=C), SlotState("0x3", TWO, owner=C)]
    assert isinstance(judge(*torn, SlotState(A, TWO, owner=A)), Abandoned)
    assert judge(*torn, *honest) == Agreed(*ONE, workers=("0x1", A, B))
    assert judge(SlotState("0x1", ONE, owner=C), SlotState("0x2", owner=C)) == Pending()


def test_retries_come_at_once_then_ever_slower() -> None:
    """Ten attempts are spread over more than a minute: longer than a daemon needs to restart."""
    pauses = [pause_before_retry(attempts) for attempts in range(1, 10)]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert 60 < sum(pauses) < 120

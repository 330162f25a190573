"""Nothing that one job, one epoch, the chain or a crash does stops the settlement of the others, or pays twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1coordinator.settlement.report import settlement_of
from r1coordinator.store.tables import EpochRow
from r1net.chain import JobSettlement, LineStatus, TxReceipt
from r1net.errors import ChainError
from r1net.protocol.settlement import JobEpoch
from tests.adversarial.coordinator.owing import Books, Killed
from tests.unit.coordinator.chain import reverted


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def deep(tmp_path: Path) -> Books:
    """Books that wait for confirmations."""
    return Books(tmp_path, confirmations=3)


# one job's failure


def test_a_job_refunded_before_its_epoch_delays_nobody(books: Books) -> None:
    gone, paid = books.owe(1), books.owe(2)
    books.chain.close(gone)
    books.chain.refund(gone)
    books.step(3)
    assert books.states(paid) == ["settled"]
    (due,) = books.dues(gone)
    assert due.state == "unpayable"
    assert "closed and down to 0" in str(due.error)
    books.check_all_settled()


def test_a_refund_between_the_look_and_the_proposal_leaves_only_that_job_out(books: Books) -> None:
    jobs = [books.owe(number) for number in range(1, 6)]

    def refund() -> None:
        books.chain.close(jobs[2])
        books.chain.refund(jobs[2])

    books.chain.meanwhile = refund
    books.step(3)
    assert [books.states(job)[0] for job in jobs] == ["settled", "settled", "unpayable", "settled", "settled"]
    assert [what for what, _ in books.chain.sent].count("propose") == 1, "nothing was spent on the refusal"
    books.check_all_settled()


def test_a_job_that_lacks_money_for_now_is_tried_again_with_pauses(books: Books) -> None:
    poor = books.owe(1)
    account = books.chain.jobs[poor]
    books.chain.jobs[poor] = replace(account, available=10)
    for pauses in range(1, 4):
        books.step(seconds=1000)
        (due,) = books.dues(poor)
        assert (due.state, due.tries) == ("waiting", pauses)
        assert due.retry_at - books.time == min(2.0**pauses, books.settings.settlement_backoff_max_seconds)
        other = books.owe(1 + pauses)
        books.step(2, seconds=0)
        assert books.states(other) == ["settling"]
        assert books.dues(poor)[0].tries == pauses, "not before its pause is over"
    books.chain.jobs[poor] = replace(account, available=100)
    books.step(3, seconds=1000)
    assert books.states(poor) == ["settled"]


def test_an_epoch_that_reverts_for_a_nameless_reason_loses_only_its_culprit(books: Books) -> None:
    """The contract names no job, and each escrow looks well: the culprit is found by trying."""
    jobs = [books.owe(number) for number in range(1, 9)]
    real_propose, real_check = books.chain.propose, books.chain.check

    def refuse(parts: Any) -> None:
        if any(part.job_id == jobs[4] for part in parts):
            raise reverted("Panic", code=0x11)

    def propose(number: int, parts: list[JobSettlement]) -> TxReceipt:
        refuse(parts)
        return real_propose(number, parts)

    def check(number: int, parts: list[JobSettlement]) -> None:
        refuse(parts)
        real_check(number, parts)

    books.chain.propose, books.chain.check = propose, check  # type: ignore[assignment,method-assign]
    books.step(2)
    assert [books.states(job)[0] for job in jobs] == ["settled"] * 4 + ["waiting"] + ["settled"] * 3
    assert "Panic" in str(books.dues(jobs[4])[0].error)
    books.chain.propose, books.chain.check = real_propose, real_check  # type: ignore[method-assign]
    books.step(3)
    books.check_all_settled()


@pytest.mark.parametrize("culprit", [0, 3, 7])
def test_even_a_culprit_that_no_trial_shows_stops_nobody(books: Books, culprit: int) -> None:
    """Only sending fails, and only with one of the jobs: fewer at a time are tried until it stands alone."""
    jobs = [books.owe(number) for number in range(1, 9)]
    real = books.chain.propose

    def propose(number: int, parts: list[JobSettlement]) -> TxReceipt:
        if any(part.job_id == jobs[culprit] for part in parts):
            raise ChainError("the chain's RPC endpoint refused: oversized data")
        return real(number, parts)

    books.chain.propose = propose  # type: ignore[assignment,method-assign]
    books.step(4)
    waiting = [number for number, job in enumerate(jobs) if books.states(job) != ["settled"]]
    assert waiting == [culprit]
    assert "oversized" in str(books.dues(jobs[culprit])[0].error)


def test_a_job_that_the_escrow_has_never_seen_waits_alone(books: Books) -> None:
    unknown, known = books.owe(1), books.owe(2)
    del books.chain.jobs[unknown]
    books.step(3)
    assert (books.states(unknown), books.states(known)) == (["waiting"], ["settled"])
    assert "UnknownJob" in str(books.dues(unknown)[0].error)


def test_more_is_owed_than_one_epoch_may_take(books: Books) -> None:
    capped, other = books.owe(1), books.owe(2)
    books.chain.jobs[capped] = replace(books.chain.jobs[capped], epoch_cap=1)
    books.step(3)
    assert (books.states(capped), books.states(other)) == (["unpayable"], ["settled"])
    assert "pays at most 1 in one epoch" in str(books.dues(capped)[0].error)


def test_a_token_that_refuses_to_be_moved_delays_its_line_alone(books: Books) -> None:
    bad, good = books.owe(1), books.owe(2)
    token = "0x" + "66" * 20
    books.chain.jobs[bad] = replace(books.chain.jobs[bad], token=token)
    books.chain.bad_tokens.add(token)
    books.step(3)
    assert books.states(bad) + books.states(good) == ["settling", "settled"]
    assert books.lines(1) == ["pending", "final"]
    books.step(20, seconds=10)
    assert books.chain.sent.count(("finalise", 1)) < 8, "with ever longer pauses"
    later = books.owe(2)
    books.step(3)
    assert books.states(later) == ["settled", "settled"]
    books.chain.bad_tokens.clear()
    books.settle()
    assert books.epochs() == {1: "final", 2: "final"}
    books.check_all_settled()


def test_a_hundred_jobs_fit_into_two_epochs_and_one_with_many_dues_holds_up_none(books: Books) -> None:
    for number in range(1, 101):
        books.owe(number)
    for _ in range(3):
        books.owe(1)
    books.step(3)
    assert set(books.states()) == {"settled"}
    assert [len(books.jobs_in(number)) for number in (1, 2)] == [64, 37]
    rounds = [due.epoch for due in books.dues("0x" + f"{1:064x}")]
    assert rounds == sorted(set(rounds)), "one of each job in an epoch, in order"
    books.check_all_settled()


def test_a_busy_job_does_not_bind_all_bonds(books: Books) -> None:
    """Each pending epoch binds one. From 16 on, proposals gather what comes."""
    books.chain.window = 3200
    for _ in range(200):
        books.owe(1)
    for _ in range(30):
        books.step(seconds=5)
    pending = [epoch for epoch in books.chain.epochs.values() if epoch.lines_that_are(LineStatus.PENDING)]
    assert len(pending) < 20
    other = books.owe(2)
    books.step(50, seconds=5)
    assert books.states(other) == ["settling"], "long before the window is over"


# rejected lines


def test_a_rejected_line_is_unwound_once_and_its_work_proposed_anew(books: Books) -> None:
    first, second = books.owe(1), books.owe(2)
    books.step()
    books.chain.reject(1, 0)
    books.step(4)
    books.settle()
    assert books.lines(1) == ["unwound", "final"]
    assert books.chain.sent.count(("unwind", 1)) == 1
    assert [(due.state, due.epoch, due.rejections) for due in books.dues(first)] == [("settled", 2, 1)]
    assert [(due.state, due.epoch, due.rejections) for due in books.dues(second)] == [("settled", 1, 0)]
    books.check_all_settled()


def test_a_rejected_line_takes_nothing_else_along(books: Books) -> None:
    """Neither another job's nor a later one of its own job."""
    jobs = [books.owe(number) for number in range(1, 4)]
    books.step(seconds=1)
    for job in (1, 2):
        books.owe(job)
    books.step(seconds=1)
    books.chain.reject(1, 1)
    books.step(seconds=1)
    assert [books.jobs_in(number) for number in (1, 2, 3)] == [jobs, jobs[:2], [jobs[1]]], "it goes alone"
    assert books.lines(1) == ["pending", "unwound", "pending"]
    assert books.lines(2) == ["pending", "pending"]
    books.settle()
    assert [(due.epoch, due.rejections) for due in books.dues(jobs[1])] == [(3, 1), (2, 0)]
    books.check_all_settled()


def test_a_conviction_takes_its_whole_epoch_and_no_other(books: Books) -> None:
    jobs = [books.owe(number) for number in (1, 2)]
    books.step(seconds=1)
    other = books.owe(3)
    books.step(seconds=1)
    books.chain.convict(1)
    books.settle()
    assert books.lines(1) == ["unwound", "unwound"]
    assert [books.dues(job)[0].epoch for job in (*jobs, other)] == [3, 4, 2]
    books.check_all_settled()


def test_what_is_rejected_again_and_again_is_held_and_the_others_go_on(books: Books) -> None:
    bad, good = books.owe(1), books.owe(2)
    digest = books.dues(bad)[0].digest
    for _ in range(8):
        books.step(seconds=1)
        for number, epoch in list(books.chain.epochs.items()):
            for line, job in enumerate(books.chain.state.contents[number].jobs):
                if epoch.status(line) is LineStatus.PENDING and job.report_digest == digest:
                    books.chain.reject(number, line)
    later = books.owe(1)
    books.settle()
    held, after = books.dues(bad)
    assert (held.state, held.rejections) == ("held", 3)
    assert "held for the operator: rejected 3 times" in str(held.error)
    assert (later, after.state) == (bad, "settled"), "what the job owes later doesn't wait for it"
    assert [(due.state, due.rejections) for due in books.dues(good)] == [("settled", 0)]
    books.settings = books.settings.model_copy(update={"max_rejections": 4})
    books.restart()
    books.settle()
    assert books.states(bad) == ["settled", "settled"], "the operator let it go"
    books.check_all_settled()


def test_a_rejection_counts_only_when_it_is_deep(tmp_path: Path) -> None:
    books = deep(tmp_path)
    books.fund(2)
    job = books.owe(1)
    books.step(seconds=1)
    books.chain.reject(1)
    other = books.owe(2)
    books.step(2, seconds=1)
    assert books.epochs() == {1: "proposed", 2: "proposed"}
    assert (books.states(job), books.states(other)) == (["settling"], ["settling"]), "the other one waits for nothing"
    books.chain.reorganise(2)
    books.settle()
    assert books.epochs() == {1: "final", 2: "final"}
    assert books.dues(job)[0].rejections == 0
    books.check_all_settled()


def test_a_disputed_line_holds_up_nobody_else(books: Books) -> None:
    """Neither the others of its epoch, nor later epochs, nor a later line of its own job."""
    disputed, beside = books.owe(1), books.owe(2)
    books.step(seconds=1)
    books.chain.mark(1, 0, "disputed")
    late = books.owe(3)
    books.owe(1)
    books.step(5)
    assert books.states(beside) + books.states(late) == ["settled", "settled"]
    assert books.states(disputed) == ["settling", "settled"]
    with books.db.read() as s:
        assert "1 of its lines are disputed" in str(s.get_one(EpochRow, 1).error)
    books.chain.mark(1, 0, "disputed")
    books.settle()
    books.check_all_settled()


# other settlers


def test_another_settlers_epoch_is_no_obstacle(books: Books) -> None:
    """Whatever it says of our jobs: it pays from its own pot."""
    job = books.owe(1)
    robbed = replace(settlement_of(JobEpoch.parse(books.dues(job)[0].part)), amount=1, rewards_root="0x" + "99" * 32)
    books.chain.propose(1, [robbed], settler="0x" + "bb" * 20)
    books.settle()
    assert [(due.state, due.epoch) for due in books.dues(job)] == [("settled", 2)]
    assert books.epochs() == {2: "final"}
    assert ("finalise", 1) not in books.chain.sent


def test_an_epoch_that_this_account_has_proposed_and_nobody_here_knows_stops_everything(books: Books) -> None:
    """As with a database from before: what it owes may be on chain already."""
    job = books.owe(1)
    unknown = replace(settlement_of(JobEpoch.parse(books.dues(job)[0].part)), report_digest="0x" + "99" * 32, amount=1)
    books.chain.propose(1, [unknown])
    books.step(3)
    (due,) = books.dues(job)
    assert (due.state, books.epochs()) == ("waiting", {})
    assert "doesn't know" in str(due.error)
    books.chain.reject(1)
    books.settle()
    assert books.states(job) == ["settled"], "what was rejected can pay nobody"


# reorganisations


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("confirmations", [0, 3])
def test_a_proposal_that_was_taken_back_is_sent_again(tmp_path: Path, again: bool, confirmations: int) -> None:
    books = Books(tmp_path, confirmations=confirmations)
    job = books.owe(1)
    books.step(seconds=1)
    books.chain.reorganise(1, again=again)
    assert (1 in books.chain.epochs) is again
    books.step(seconds=1)
    assert books.chain.epochs[1].status(0) is LineStatus.PENDING
    books.settle()
    assert books.states(job) == ["settled"]
    books.check_all_settled()


@pytest.mark.parametrize("confirmations", [0, 3])
def test_a_finalisation_that_was_taken_back_is_sent_again(tmp_path: Path, confirmations: int) -> None:
    books = Books(tmp_path, confirmations=confirmations)
    books.owe(1)
    books.step(2)
    assert books.chain.epochs[1].status(0) is LineStatus.FINALISED
    assert books.epochs()[1] == ("proposed" if confirmations else "final")
    books.chain.reorganise(1)
    books.step(seconds=0)
    assert books.chain.sent.count(("finalise", 1)) == 2
    books.settle()
    assert books.epochs() == {1: "final"}
    books.check_all_settled()


def test_nothing_is_final_here_before_it_is_that_deep(tmp_path: Path) -> None:
    books = deep(tmp_path)
    books.owe(1)
    books.step(2)
    for _ in range(3):
        books.step()
        assert books.epochs() == {1: "proposed"}
        assert books.states() == ["settling"]
        books.chain.mine()
    books.step()
    assert (books.epochs(), books.states()) == ({1: "final"}, ["settled"])


def test_several_epochs_that_were_taken_back_come_again_in_order(books: Books) -> None:
    for number in range(1, 5):
        books.fund(number)
    for number in range(1, 5):
        books.owe(number)
        books.step(seconds=1)
    books.chain.reorganise(3)
    books.step(seconds=1)
    assert [number for what, number in books.chain.sent if what == "propose"] == [1, 2, 3, 4, 2, 3, 4]
    books.settle()
    books.check_all_settled()


def test_a_job_refunded_in_the_reorganised_chain_is_left_out_of_what_comes_again(books: Books) -> None:
    jobs = [books.owe(number) for number in (1, 2)]
    books.step(seconds=1)
    books.chain.reorganise(1)
    books.chain.close(jobs[0])
    books.chain.refund(jobs[0])
    books.settle()
    assert books.states(jobs[0]) + books.states(jobs[1]) == ["unpayable", "settled"]
    books.check_all_settled()


def test_a_proposal_that_comes_back_is_known_again(tmp_path: Path) -> None:
    """An epoch was given up for one without a job that lacked money; the reorganisation brings the first one back."""
    books = deep(tmp_path)
    books.fund(3)
    jobs = [books.owe(number) for number in (1, 2)]
    books.step(seconds=1)
    with_both = books.chain.history[-1].transaction
    books.chain.reorganise(1)
    rich = books.chain.jobs[jobs[0]]
    books.chain.jobs[jobs[0]] = replace(rich, available=0)
    books.step(seconds=1)
    assert books.jobs_in(1) == [jobs[1]]
    books.chain.jobs[jobs[0]] = rich
    third = books.owe(3)
    books.step(2, seconds=1)
    assert books.jobs_in(2) == [third], "the first one's old proposal may still come"
    assert "an earlier proposal of epoch 1 may still come back" in str(books.dues(jobs[0])[0].error)
    books.chain.reorganise(2)
    assert with_both is not None
    with_both()
    books.settle()
    assert books.states() == ["settled"] * 3
    assert books.jobs_in(1) == jobs
    books.check_all_settled()


def test_what_stands_twice_after_a_reorganisation_is_told_and_stops_nobody(
    books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """Deeper than the confirmations, which are none here: what can't be undone is said."""
    jobs = [books.owe(number) for number in (1, 2)]
    books.step(seconds=1)
    with_both = books.chain.history[-1].transaction
    books.chain.reorganise(1)
    rich = books.chain.jobs[jobs[0]]
    books.chain.jobs[jobs[0]] = replace(rich, available=0)
    books.step(seconds=1)
    books.chain.jobs[jobs[0]] = rich
    books.step(seconds=5)
    alone = books.chain.history[-1].transaction
    assert (books.jobs_in(1), books.jobs_in(2)) == ([jobs[1]], [jobs[0]])
    books.chain.reorganise(2)
    assert with_both is not None
    assert alone is not None
    with_both()
    alone()
    later = books.owe(3)
    books.settle()
    assert f"due 1 of job {jobs[0]} stands in epochs 2 and 1" in caplog.text
    assert [books.states(job) for job in (*jobs, later)] == [["settled"]] * 3


def test_what_was_sent_under_another_number_goes_on_once_that_is_deep(tmp_path: Path) -> None:
    books = deep(tmp_path)
    jobs = [books.owe(number) for number in (1, 2)]
    books.step(seconds=1)
    books.chain.reorganise(1)
    rich = books.chain.jobs[jobs[0]]
    books.chain.jobs[jobs[0]] = replace(rich, available=0)
    books.step(seconds=1)
    books.chain.jobs[jobs[0]] = rich
    books.chain.mine(3)
    books.step(seconds=400)
    assert (books.jobs_in(1), books.jobs_in(2)) == ([jobs[1]], [jobs[0]])
    books.settle()
    books.check_all_settled()


# what concerns everybody is waited for, and blamed on nobody


def test_a_pause_of_the_contract_is_nobodys_fault(books: Books) -> None:
    jobs = [books.owe(number) for number in (1, 2)]
    books.chain.paused = True
    books.step(5)
    assert [due.tries for due in books.dues()] == [0, 0]
    books.chain.paused = False
    books.step(3)
    assert [books.states(job) for job in jobs] == [["settled"], ["settled"]]


def test_lost_answers_send_nothing_twice(books: Books) -> None:
    books.owe(1)
    for _ in range(4):
        books.chain.lose_answers = True
        books.step()
    assert books.chain.sent == [("propose", 1), ("finalise", 1)]


# crashes


def story(books: Books) -> None:
    """A refund at the worst moment, a rejection, a reorganisation."""
    jobs = [books.owe(number) for number in (1, 2, 3)]

    def refund() -> None:
        books.chain.close(jobs[0])
        books.chain.refund(jobs[0])

    books.chain.meanwhile = refund
    books.step(seconds=1)
    books.owe(4)
    books.step(seconds=1)
    if books.chain.epochs:
        books.chain.convict(max(books.chain.epochs))
    books.step(2, seconds=1)
    books.chain.mine(2)
    books.step(seconds=1)
    books.chain.reorganise(1)
    books.step(2)


@pytest.mark.parametrize(
    ("confirmations", "stride"), [(2, 4), (0, 7), pytest.param(2, 1, marks=pytest.mark.slow, id="every step")]
)
def test_a_crash_between_any_two_steps_neither_loses_nor_doubles(
    tmp_path: Path, confirmations: int, stride: int
) -> None:
    at, died = 0, True
    while died:
        at += stride
        folder = tmp_path / str(at)
        folder.mkdir()
        books = Books(folder, confirmations=confirmations)
        died = _story_dies(books, at)
        books.chain.meanwhile = None
        books.settle()
        books.check_all_settled()
        states = [due.state for due in books.dues()]
        assert "held" not in states
        assert states.count("settled") >= len(states) - 1
        books.db.close()
    assert at > 60


def _story_dies(books: Books, at: int) -> bool:
    """Tell the story; whether the process died at that step of it. A new one takes over and goes on."""
    with books.dying(at) as steps:
        step = _undying(books)
        books.step = step  # type: ignore[method-assign]
        story(books)
        del books.step
    return steps() >= at


def _undying(books: Books) -> Callable[..., None]:
    real = books.step

    def step(times: int = 1, seconds: float = 20.0) -> None:
        for _ in range(times):
            try:
                real(1, seconds)
            except Killed:
                books.restart()

    return step

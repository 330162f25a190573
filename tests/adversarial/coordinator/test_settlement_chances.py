"""Whatever happens on the chain and to the process, in whatever order: no due is paid twice, and none is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from r1net.chain import LineStatus
from tests.adversarial.coordinator.owing import Books, Killed

DEPTH = 2
Event = tuple[Callable[[Books, int], None], int]


def owe(books: Books, number: int) -> None:
    """A job owes for more work, unless its funding was taken back."""
    if job_of(number) not in books.funded or job_of(number) in books.chain.jobs:
        books.owe(number)


def step(books: Books, seconds: int) -> None:
    """The settler does what it can; a chain that was away is back then."""
    books.step(seconds=seconds)
    books.chain.away = False


def reject(books: Books, number: int) -> None:
    """A pending line is rejected."""
    pending = pending_lines(books)
    if pending:
        books.chain.reject(*pending[number % len(pending)])


def convict(books: Books, number: int) -> None:
    """An epoch is rejected, all of it that isn't paid."""
    pending = pending_lines(books)
    if pending:
        books.chain.convict(pending[number % len(pending)][0])


def pending_lines(books: Books) -> list[tuple[int, int]]:
    """The lines that stand and aren't paid."""
    epochs = books.chain.epochs
    return [(n, line) for n, epoch in epochs.items() for line in epoch.lines_that_are(LineStatus.PENDING)]


def refund_meanwhile(books: Books, number: int) -> None:
    """As `refund`, between the next look and the next proposal."""
    books.chain.meanwhile = lambda: refund(books, number)


def die(books: Books, at: int) -> None:
    """The process dies in the middle, and a new one takes over."""
    with books.dying(at), suppress(Killed):
        books.step(seconds=20)


def lose(books: Books, _: int) -> None:
    """The next transaction arrives, and its answer doesn't."""
    books.chain.lose_answers = True


def away(books: Books, _: int) -> None:
    """The endpoint doesn't answer the next time."""
    books.chain.away = True


def mine(books: Books, blocks: int) -> None:
    """Blocks of others."""
    books.chain.mine(blocks)


def reorganise(books: Books, blocks: int) -> None:
    """The newest blocks are gone."""
    books.chain.reorganise(blocks)


def reorganise_again(books: Books, blocks: int) -> None:
    """The newest blocks are gone, and the settler's transactions come again."""
    books.chain.reorganise(blocks, again=True)


def refund(books: Books, number: int) -> None:
    """The submitter takes back what isn't reserved."""
    job_id = job_of(number)
    if job_id in books.chain.jobs and not books.chain.jobs[job_id].closed_at:
        books.chain.close(job_id)
        books.chain.refund(job_id)


def dispute(books: Books, number: int) -> None:
    """A dispute over a line begins, or ends without effect."""
    pending = pending_lines(books)
    if pending:
        books.chain.mark(*pending[number % len(pending)], "disputed")
        books.chain.mine()


def balk(books: Books, number: int) -> None:
    """A job's token refuses to be moved, or no longer does."""
    token = "0x" + f"{0x6600 + number:040x}"
    job_id = job_of(number)
    if job_id in books.chain.jobs:
        books.chain.jobs[job_id] = replace(books.chain.jobs[job_id], token=token)
        books.chain.bad_tokens ^= {token}


def come_to_rest(books: Books) -> None:
    """The chain is well again, and submitters whose funding was taken back fund once more."""
    chain = books.chain
    chain.away = chain.lose_answers = False
    chain.meanwhile = None
    for number in range(1, 5):
        job_id = job_of(number)
        if job_id in books.funded and job_id not in chain.jobs:
            books.funded.discard(job_id)
            books.fund(number)
    for number, epoch in list(chain.epochs.items()):
        chain.epochs[number] = replace(epoch, disputed=0)
    chain.bad_tokens.clear()
    chain.mine(DEPTH + 1)
    books.settle()


def job_of(number: int) -> str:
    """The id of a job."""
    return "0x" + f"{number:064x}"


def history_of(deepest: int, *more: Callable[[Books, int], None]) -> st.SearchStrategy[list[Event]]:
    """Events in any order; reorganisations of so many blocks at most."""

    def event(act: Callable[[Books, int], None], numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Event]:
        return st.tuples(st.just(act), numbers)

    kinds = [
        event(owe, st.integers(1, 4)),
        event(step, st.sampled_from([0, 1, 6, 20, 400])),
        event(reject, st.integers(0, 3)),
        event(convict, st.integers(0, 3)),
        event(balk, st.integers(1, 4)),
        event(reorganise, st.integers(1, deepest)),
        event(dispute, st.integers(0, 3)),
        event(die, st.integers(1, 20)),
        event(lose, st.just(0)),
        event(away, st.just(0)),
        event(mine, st.integers(1, 3)),
        *(event(act, st.integers(1, 4 if act is not reorganise_again else deepest)) for act in more),
    ]
    return st.lists(st.one_of(kinds), min_size=4, max_size=25)


def tell(history: list[Event], confirmations: int) -> None:
    """Let it all happen, and look at the books after each event and at the end."""
    with tempfile.TemporaryDirectory() as folder:
        books = Books(Path(folder), confirmations=confirmations)
        try:
            for act, number in history:
                act(books, number)
                books.check_nothing_doubled()
            come_to_rest(books)
            books.check_all_settled()
            for due in books.dues():
                assert due.state != "unpayable" or books.chain.jobs[due.job_id].closed_at
                assert due.state != "held" or due.rejections == books.settings.max_rejections
        finally:
            books.db.close()


@settings(max_examples=60, deadline=None)
@given(history_of(DEPTH, reorganise_again, refund, refund_meanwhile))
def test_no_due_is_paid_twice_or_lost(history: list[Event]) -> None:
    tell(history, DEPTH)


@settings(max_examples=40, deadline=None)
@given(history_of(6))
def test_without_confirmations_the_books_follow_every_reorganisation(history: list[Event]) -> None:
    """What is given up in one branch of the chain comes again in another."""
    tell(history, 0)

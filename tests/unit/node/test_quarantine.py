"""How long a worker stays away from a job that failed here."""

from __future__ import annotations

from r1node.quarantine import FIRST_SECONDS, LONGEST_SECONDS, Quarantine


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_job_that_fails_again_is_avoided_for_twice_as_long() -> None:
    clock = Clock()
    avoided = Quarantine(clock)
    assert [avoided.add("a") for _ in range(3)] == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]
    clock.now += 4 * FIRST_SECONDS - 1
    assert avoided.jobs() == ("a",)
    clock.now += 2
    assert avoided.jobs() == ()
    assert avoided.add("a") == 8 * FIRST_SECONDS
    for _ in range(20):
        longest = avoided.add("a")
    assert longest == LONGEST_SECONDS


def test_work_that_is_done_is_forgiven() -> None:
    avoided = Quarantine(Clock())
    avoided.add("a")
    avoided.add("a")
    avoided.forgive("a")
    assert avoided.jobs() == ()
    assert avoided.add("a") == FIRST_SECONDS


def test_one_job_says_nothing_of_another_and_no_more_are_named_than_a_request_takes() -> None:
    clock = Clock()
    avoided = Quarantine(clock)
    for number in range(100):
        clock.now += 0.1
        avoided.add(f"job {number}")
    named = avoided.jobs()
    assert len(named) == 64
    assert named[-1] == "job 99"
    avoided.forgive("job 99")
    assert "job 99" not in avoided.jobs()

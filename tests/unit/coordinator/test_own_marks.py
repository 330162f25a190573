"""When a claimed part that comes from a stranger's code is taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from r1coordinator.verification.admission import _check_own
from r1net.errors import Refused
from r1net.protocol.trace import Trace
from r1net.sandbox.answers import Graded
from r1net.sandbox.own import OwnMark
from tests.unit.coordinator.jobs import STOP, job_spec

LATE = OwnMark(0.25, over=True, doubtful=True, late=0.25)


def trace(claimed: float | None) -> Trace:
    return Trace(
        job_id="0x" + "0" * 64,
        split="train",
        round=0,
        group=0,
        index=0,
        policy=job_spec().model.digest(),
        worker="0x" + "1" * 40,
        prompt_ids=(1,),
        completion_ids=(STOP,),
        logprobs=(-0.5,),
        reward_parts={"code": claimed},
        reward=claimed,
        finish_reason="stop",
        seed=1,
    )


def check(claimed: float | None, first: OwnMark, again: Callable[[], tuple[OwnMark, OwnMark]]) -> None:
    graded = Graded(first.value, {"code": first.value}, own={"code": first})
    _check_own([0], [trace(claimed)], [graded], lambda: [tuple({"code": mark} for mark in again())])


def never() -> tuple[OwnMark, OwnMark]:
    raise AssertionError("nothing is to be computed again")


@pytest.mark.parametrize(
    ("claimed", "mark"),
    [
        (1.0, OwnMark(1.0)),
        (None, OwnMark(None)),
        (0.25, LATE),
        (0.25, OwnMark(1.0, doubtful=True, late=0.25)),
        (1.0, OwnMark(1.0, doubtful=True, late=0.25)),
    ],
)
def test_what_it_came_to_or_what_time_may_have_made_of_it_is_taken(claimed: float | None, mark: OwnMark) -> None:
    check(claimed, mark, never)


@pytest.mark.parametrize("again", [(OwnMark(0.0), OwnMark(1.0)), (OwnMark(1.0), OwnMark(0.0))])
def test_what_it_comes_to_another_time_is_taken(again: tuple[OwnMark, OwnMark]) -> None:
    """A model's program that plays dice is nobody's fault."""
    check(1.0, OwnMark(0.0), lambda: again)


@pytest.mark.parametrize("claimed", [1.0, None, 0.25])
def test_what_it_never_comes_to_is_refused_by_a_word_of_its_own(claimed: float | None) -> None:
    with pytest.raises(Refused) as refused:
        check(claimed, OwnMark(0.0), lambda: (OwnMark(0.0), OwnMark(0.0)))
    assert refused.value.code == "own_reward_mismatch"

"""When a vote is a lie: only where the work is clearly the other way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from r1net.protocol.evidence import Finding, GradientFinding
from r1net.protocol.work import Vote
from r1node.verification.judge import WorkVerdict
from r1node.verification.perjury import CLEARLY, about_gradient, about_traces
from r1node.verification.recompute import FLOORS, away

NAME, WORKER = "0x" + "11" * 32, "0x" + "22" * 20
FIGURES = ("mean_abs_delta", "mean_delta", "max_abs_delta", "noise", "drawn", "mean_miss", "usual_noise", "usual_miss")


def finding(*faults: str) -> Finding:
    return Finding(worker=WORKER, traces=1, tokens=1, **dict.fromkeys(FIGURES, 0.0), faults=faults)  # type: ignore[arg-type]


def vote(*faults: str) -> Vote:
    return Vote(job_id=NAME, lease_id="verify", task=NAME, finding=finding(*faults))


def gradient(deviation: float, *, version_holds: bool = True) -> GradientFinding:
    words = away(deviation, 0.0, FLOORS["float32"])
    faults = ((words,) if words else ()) + (() if version_holds else ("the weights do not follow",))
    return GradientFinding(
        worker=WORKER,
        tokens=1,
        norm=1.0,
        deviation=deviation,
        usual=0.0,
        version_holds=version_holds,
        faults=faults,
    )


@given(st.floats(0, 10), st.booleans())
def test_a_vote_is_held_against_nobody_near_a_limit(severity: float, holds: bool) -> None:
    own = WorkVerdict(finding(*(("bad",) if severity > 1 else ())), (), NAME, severity)
    found = about_traces(vote() if holds else vote("bad"), own).faults
    assert bool(found) == (severity > CLEARLY if holds else severity < 1 / CLEARLY)


@given(st.floats(0, 1), st.booleans(), st.booleans())
def test_a_vote_on_a_gradient_is_judged_alike(deviation: float, holds: bool, version: bool) -> None:
    found = about_gradient(
        vote() if holds else vote("bad"), gradient(deviation, version_holds=version), "float32"
    ).faults
    severity = deviation / FLOORS["float32"]
    if holds:
        assert bool(found) == (severity > CLEARLY or not version)
    else:
        assert bool(found) == (severity < 1 / CLEARLY and version)

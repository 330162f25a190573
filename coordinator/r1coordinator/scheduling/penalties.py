"""Rules of a worker's standing: what broken leases cost, how it is forgotten, and what follows."""

from __future__ import annotations

COSTS = {
    "lapsed": 1.0,
    "bad_submission": 1.0,
    "failed_alone": 1.0,
    "another_version": 1.0,
    "not_published": 2.0,
    "false_possession": 4.0,
    "false_statement": 4.0,
    "false_vote": 4.0,
    "missed_plant": 4.0,
    "failed_check": 10.0,
}
"""Points for: a lease that ended in silence or at its deadline; a submission that an honest node never makes; a
training attempt that failed without peers, and that another then brought to an end; a step that came to another version
than the majority's, though all steps are alike to the last bit; a version that was reported and then not published;
files that were said to be held and aren't; a step with another sum than the slots'; a vote on repeated work that the
other verifiers' contradict; a tampered copy that was called good; work that two owners found bad by repeating it."""

HALF_LIFE = 2 * 3600.0
"""Seconds in which half of the points are forgotten."""

OWNER_SHARE = 4
"""An owner answers for all of its workers: a new key of it starts with this part of its points."""

TRAIN_LIMIT = 4.0
"""Points above which a worker gets no train lease: one trainer holds up all others."""

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 24 * 3600.0


def decayed(points: float, since: float, now: float) -> float:
    """What is left of points given at `since`."""
    return float(points * 0.5 ** (max(0.0, now - since) / HALF_LIFE))


def pause(points: float) -> float:
    """Seconds without a lease after the last fault: none for a first one, then twice as long for each point."""
    return 0.0 if points <= 1 else float(min(_FIRST_PAUSE * 2 ** (min(points, 64) - 2), _LONGEST_PAUSE))


def combined(own: float, owners: float) -> float:
    """What counts against a worker: its own points, or its share of its owner's if that is more."""
    return max(own, owners / OWNER_SHARE)

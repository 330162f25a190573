"""Threat model, 4: the rules of blame against any set of saboteurs, without a coordinator."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from r1coordinator.scheduling import blame
from r1coordinator.scheduling.blame import EXCUSED, Suspicion, Tried, counted, retry, starters, suspect
from r1coordinator.scheduling.deadlines import Patience, allowance, expected_rate
from r1coordinator.scheduling.model import WorkerState


def worker(name: str) -> WorkerState:
    return WorkerState(
        worker=name, peer_id=name, maddrs=(), capabilities=frozenset({"train"}), holds={}, last_seen=0.0, owner=name
    )


@settings(deadline=None)
@given(
    bad=st.integers(0, 40),
    tricks=st.lists(st.sampled_from(["shared", "lapse", "own"]), min_size=1, max_size=5),
    old=st.lists(st.floats(0, 8), max_size=41),
    seed=st.integers(0, 2**32),
)
def test_with_one_honest_trainer_every_round_is_agreed_in_a_bounded_number_of_attempts(
    bad: int, tricks: list[str], old: list[float], seed: int
) -> None:
    """Any saboteurs, any history of suspicion, ties drawn by any seed. Attempts that count against the job stay below
    log2 of the workers, so that ten are enough for a thousand."""
    honest, names = "honest", [f"bad {n}" for n in range(bad)]
    able = [worker(name) for name in [*names, honest]]
    suspicion = {w.worker: Suspicion(points, 0) for w, points in zip(able, old, strict=False)}
    history: list[Tried] = []
    chosen = starters(able, suspicion, 5)
    while any(w.worker != honest for w in chosen):
        workers = tuple(w.worker for w in chosen)
        guilty = [name for name in workers if name != honest]
        trick = tricks[len(history) % len(tricks)]
        blamed = (guilty[0],) if trick != "shared" or len(workers) == 1 else ()
        history.append(Tried(workers, blamed, float(len(history))))
        suspicion = suspect(suspicion, history[-1], 5)
        assert len(history) <= bad + len(able).bit_length() + 1
        chosen = retry(able, suspicion, history, f"{seed}/{len(history)}", 1e9)
        assert chosen
    assert counted(history) <= len(able).bit_length()


@given(failures=st.integers(0, 30))
def test_where_nobody_can_train_a_job_comes_to_an_end(failures: int) -> None:
    """A single worker that fails is excused a few times, with pauses that double; then its attempts count."""
    history = [Tried(("a",), ("a",), float(n)) for n in range(failures)]
    assert counted(history) == max(0, failures - EXCUSED)
    pauses = [blame.pause(n) for n in range(30)]
    assert pauses == sorted(pauses)


@given(rounds=st.integers(1, 400))
def test_a_saboteur_that_never_succeeds_breaks_ever_fewer_rounds(rounds: int) -> None:
    """Left out of first attempts for twice as many rounds each time: some log2 of the rounds are broken, no more."""
    able, broken = [worker("honest"), worker("bad")], 0
    suspicion: dict[str, Suspicion] = {}
    for round_ in range(rounds):
        names = tuple(w.worker for w in starters(able, suspicion, round_))
        if "bad" in names:
            broken += 1
            suspicion = suspect(suspicion, Tried(names, (), 0.0), round_)
            suspicion = blame.cleared(suspicion, ["honest"])
    assert broken <= 3 + 2 * rounds.bit_length()


@given(
    own=st.floats(1e-6, 1e6) | st.none(),
    others=st.lists(st.floats(0.1, 1e4), min_size=2, max_size=9),
    tokens=st.integers(0, 10**7),
)
def test_slowness_buys_little_time(own: float | None, others: list[float], tokens: int) -> None:
    """Whatever a worker has pretended, its deadline is at most eight times the median's, and never beyond the most."""
    patience = Patience(factor=4, least=180, most=3600)
    rates = [*others, *([own] if own is not None else [])]
    given_ = allowance(patience, tokens, expected_rate(own, rates, 20))
    usual = allowance(patience, tokens, expected_rate(None, rates, 20))
    assert 180 <= given_ <= 3600
    assert given_ <= 8 * usual + 1e-6
